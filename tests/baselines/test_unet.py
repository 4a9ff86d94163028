from monai.networks.nets import UNet

from tests.baselines.same_answer import CHANNELS, LABELS, assert_same_answer
from zeus_app.baselines.unet import build


def test_taken_apart_it_answers_as_the_unet_of_monai() -> None:
    channels, strides = (32, 64, 128, 256, 512), (2, 2, 2, 2)
    assert_same_answer(build, lambda: UNet(2, CHANNELS, LABELS, channels, strides))


def test_the_features_have_the_channels_that_the_network_names() -> None:
    network = build(1, 1)
    assert network.feature_channels == (32, 64, 128, 256, 512)
