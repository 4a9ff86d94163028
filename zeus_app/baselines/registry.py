"""The networks to compare with Zeus: one entry each, by the name that the setting `model` takes.

A new network is one file with `build(in_channels, labels) -> Network`, one entry here, and a recipe
in `recipes/<name>.yaml`. All fusions, the training, the server and the contract tests then hold for
it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from zeus_app.baselines import (
    attunet,
    dynunet,
    llm4seg,
    missformer,
    resunet,
    transunet,
    unet,
    unetpp,
    unext,
)
from zeus_app.baselines.network import BuildNetwork
from zeus_app.settings.config import ZeusConfig


@dataclass(frozen=True)
class PaperCounts:
    """Millions of parameters in Table 2 of the Zeus paper; Zeus has no early fusion.

    Late fusion of the U-Net has three times the parameters of early fusion there, so the paper
    seems to count for the three sequences of CHAOS.
    """

    hybrid: float
    late: float
    early: float | None = None


@dataclass(frozen=True)
class NetworkEntry:
    """A network.

    Attributes:
        title: its name in tables.
        source: the paper that describes it.
        build: makes it.
        note: how it differs from the paper's network, and with it the number of parameters.
        paper: the paper's counts; None for a network that the paper does not have.
        choose: settings -> title and builder, for a network that has settings of its own.
    """

    title: str
    source: str
    build: BuildNetwork
    note: str
    paper: PaperCounts | None = None
    choose: Callable[[ZeusConfig], tuple[str, BuildNetwork]] | None = None


def _llm4seg(kind: str, title: str) -> NetworkEntry:
    return NetworkEntry(
        title=title,
        source="LLM4Seg, MICCAI 2025, arXiv 2506.18034; CMUNeXt, arXiv 2308.01239",
        build=partial(llm4seg.build, choice=llm4seg.LayerChoice(kind)),
        note=f"CMUNeXt with, at its bottleneck, {llm4seg.KINDS[kind].title}; not in the paper",
        choose=llm4seg.chooser(kind),
    )


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
    "unext": NetworkEntry(
        title="UNeXt",
        source="Valanarasu and Patel, MICCAI 2022, arXiv 2203.04967",
        build=unext.build,
        note="16, 32, 128, 160 and 256 channels, which give the 1.47 M of its paper. Table 2 counts"
        " 3 to 4 times as many, perhaps of a wider variant, and the Zeus paper does not say why",
        paper=PaperCounts(early=5.04, hybrid=12.86, late=18.66),
    ),
    "transunet": NetworkEntry(
        title="TransUNet",
        source="Chen et al., 2021, arXiv 2102.04306",
        build=transunet.build,
        note="timm's hybrid of ResNet-50 and ViT-B/16 without class token. Three networks have the"
        " count of late fusion in Table 2, whose early fusion is 7 M larger for no stated reason",
        paper=PaperCounts(early=112.40, hybrid=308.26, late=315.96),
    ),
    "missformer": NetworkEntry(
        title="MISSFormer",
        source="Huang et al., 2021, arXiv 2109.07162",
        build=missformer.build,
        note="of our own, without the two blocks at the decoder's coarsest level that would give"
        " the published 42.46 M. Table 2 counts 5 to 6 times as many, and the Zeus paper does not"
        " say why",
        paper=PaperCounts(early=188.08, hybrid=383.47, late=610.88),
    ),
    "dynunet": NetworkEntry(
        title="DynUNet",
        source="Isensee et al., Nature Methods 2021, arXiv 1809.10486",
        build=dynunet.build,
        note="nnU-Net's 2-D architecture for 256×256 pixels as MONAI's DynUNet builds it, without"
        " deep supervision, and without nnU-Net's planning and training; not in the paper",
    ),
    "llm4seg": _llm4seg("frozen", "LLM4Seg"),
    "llm4seg-none": _llm4seg("none", "LLM4Seg without LLM"),
    "llm4seg-random": _llm4seg("random", "LLM4Seg, random layer"),
    "llm4seg-trained": _llm4seg("trained", "LLM4Seg, trained layer"),
}
