from monai.networks.nets import DynUNet

from tests.baselines.same_answer import CHANNELS, LABELS, assert_same_answer
from zeus_app.baselines.dynunet import build


def test_taken_apart_it_answers_as_the_dynunet_of_monai() -> None:
    filters = (32, 64, 128, 256, 512, 512, 512)
    kernels, strides, up_kernels = (3,) * 7, (1, 2, 2, 2, 2, 2, 2), (2,) * 6
    assert_same_answer(
        build,
        lambda: DynUNet(2, CHANNELS, LABELS, kernels, strides, up_kernels, filters=filters),
    )
