from monai.networks.nets import AttentionUnet

from tests.baselines.same_answer import CHANNELS, LABELS, assert_same_answer
from zeus_app.baselines.attunet import build


def test_taken_apart_it_answers_as_the_attention_unet_of_monai() -> None:
    channels, strides = (32, 64, 128, 256, 512), (2, 2, 2, 2)
    assert_same_answer(build, lambda: AttentionUnet(2, CHANNELS, LABELS, channels, strides))
