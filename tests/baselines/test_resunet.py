from monai.networks.nets import UNet

from tests.baselines.same_answer import CHANNELS, LABELS, assert_same_answer
from zeus_app.baselines.resunet import build


def test_taken_apart_it_answers_as_the_residual_unet_of_monai() -> None:
    channels, strides = (32, 64, 128, 256, 512), (2, 2, 2, 2)
    assert_same_answer(build, lambda: UNet(2, CHANNELS, LABELS, channels, strides, num_res_units=2))
