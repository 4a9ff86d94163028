"""The networks to compare with Zeus: one entry each, by the name that the setting `model` takes.

A new network is one file with `build(in_channels, labels) -> Network`, one entry here, and a recipe
in `recipes/<name>.yaml`. All fusions, the training, the server and the contract tests then hold for
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zeus_app.baselines import attunet, dynunet, resunet, unet, unetpp
from zeus_app.baselines.network import BuildNetwork


@dataclass(frozen=True)
class PaperCounts:
    """Millions of parameters in Table 2 of the Zeus paper.

    Late fusion of the U-Net has three times the parameters of early fusion there, so the paper
    seems to count for the three sequences of CHAOS.
    """

    early: float
    hybrid: float
    late: float


@dataclass(frozen=True)
class NetworkEntry:
    """A network.

    Attributes:
        title: its name in tables.
        source: the paper that describes it.
        build: makes it.
        note: how it differs from the paper's network, and with it the number of parameters.
        paper: the paper's counts; None for a network that the paper does not have.
    """

    title: str
    source: str
    build: BuildNetwork
    note: str
    paper: PaperCounts | None = None


NETWORKS: Mapping[str, NetworkEntry] = {
    "unet": NetworkEntry(
        title="U-Net",
        source="Ronneberger et al., MICCAI 2015, arXiv 1505.04597",
        build=unet.build,
        note="MONAI's UNet without residual units: one strided convolution a level instead of two"
        " and a pooling, and 32 to 512 channels instead of 64 to 1024",
        paper=PaperCounts(early=18.31, hybrid=40.04, late=54.94),
    ),
    "attunet": NetworkEntry(
        title="AttUNet",
        source="Oktay et al., MIDL 2018, arXiv 1804.03999",
        build=attunet.build,
        note="MONAI's AttentionUnet with 32 to 512 channels; with 64 to 1024, as its paper has"
        " them, it would have four times the parameters",
        paper=PaperCounts(early=27.06, hybrid=56.38, late=94.08),
    ),
    "resunet": NetworkEntry(
        title="ResUNet",
        source="Kerfoot et al., STACOM 2018, doi 10.1007/978-3-030-12029-0_40",
        build=resunet.build,
        note="MONAI's UNet with two residual units a level and 32 to 512 channels; the paper cites"
        " Xiao et al. 2018 and starts from a pretrained ResNet, whose depth it does not name",
        paper=PaperCounts(early=34.06, hybrid=70.35, late=110.82),
    ),
    "unetpp": NetworkEntry(
        title="UNet++",
        source="Zhou et al., DLMIA 2018, arXiv 1807.10165",
        build=unetpp.build,
        note="MONAI's BasicUNetPlusPlus with 32 to 512 channels and the last head alone, without"
        " deep supervision and without a pretrained encoder",
        paper=PaperCounts(early=20.03, hybrid=42.16, late=64.48),
    ),
    "dynunet": NetworkEntry(
        title="DynUNet",
        source="Isensee et al., Nature Methods 2021, arXiv 1809.10486",
        build=dynunet.build,
        note="nnU-Net's 2-D architecture for 256×256 pixels as MONAI's DynUNet builds it, without"
        " deep supervision, and without nnU-Net's planning and training; not in the paper",
    ),
}
