"""What the name of a mask says about it: which structure it shows, and who drew it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from zeus_app.recognition.image_name import ImageName
from zeus_app.recognition.words import ENTITY, Word, word_set
from zeus_app.targets import Target
from zeus_app.targets.naming import Names

_MASK = frozenset({("mask", "mask"), ("mask", "target"), ("mask", "structure")})
_GROUPS = {
    "lesions": word_set(
        "lesion lesions lesionmask lesionseg tumor tumour tumors tumours tumorseg tumourseg"
        " tumormask wholetumor glioma gliomas edema oedema necrosis necrotic enhancing core wmh"
        " wmhs infarct stroke gtv gtvt gtvp ctv ptv cancer cspca pirads metastasis metastases"
        " meningioma plaque"
        " cyst cysts abnormality sclerosis nodule mass"
    ),
    "gland": word_set("gland wholegland prostate pz tz zone zones zonal"),
    "tissue": word_set(
        "aseg aparc pveseg probseg parcellation tissue tissues gm wm csf cortex synthseg ventricle"
        " ventricles hippocampus thalamus putamen caudate cerebellum amygdala"
    ),
    "organs": word_set(
        "organ organs liver kidney kidneys spleen pancreas stomach gallbladder bladder rectum"
        " uterus heart lung lungs aorta bowel oar"
    ),
    "others": word_set("skull bone bones vessel vessels artery muscle artifact artefact fat"),
}
"""Structures that masks are named after. A mask of another group is none of the target.

Of several groups in one name the first counts: `prostate_lesion` shows a lesion.
"""
_MORE_MASKS = word_set("voi vois anno annos маска маски сегментация 标注 分割 掩膜 マスク 마스크")
"""Words for masks that say nothing about images, so that finding studies need not know them."""
_CONSENSUS = word_set("consensus staple majority gold")
_NEWER = word_set("final corrected edited revised approved checked reviewed fixed new updated")


class Rank(IntEnum):
    """Which of several masks is the mask of the study; the lowest is preferred."""

    CONSENSUS = 0
    """Of several readers."""
    PLAIN = 1
    """Its name says that it is a mask and nothing else, or that it is the newest one."""
    OTHER = 2
    """Its name says more."""
    READER = 3
    """Of one reader, `seg_rater2`."""


@dataclass(frozen=True)
class MaskName:
    """What the name of a file says about the mask in it.

    Attributes:
        may_be_mask: whether it says that the file is a mask, of any structure, or says neither
            this nor a sequence.
        reason: why it is no mask of the target; "" if it may be one.
        is_machine_made: whether it says that a machine drew it.
        rank: its rank among several masks of one study.
    """

    may_be_mask: bool
    reason: str
    is_machine_made: bool
    rank: Rank


def read_mask_name(text: str, names: Names, *, in_mask_folder: bool) -> MaskName:
    """Read the name of a file that may be a mask.

    Args:
        text: the name without suffix, and without the patient's name.
        names: how the target's names are read.
        in_mask_folder: whether the file lies in a folder for masks. There the name needs no word
            for masks: `anna.nii.gz`, `anna_FLAIR.nii.gz` and `anna_rater1.nii.gz` are masks.
    """
    said = names.read(text)
    is_placed = in_mask_folder or "reader" in said.traits  # `rater1.nii.gz` beside the images
    is_unnamed = is_placed and all(map(_says_nothing_else, said.words))
    return MaskName(
        may_be_mask=said.is_mask or is_unnamed or not said.sequences,
        reason="" if is_unnamed else _why_not(said, names.target),
        is_machine_made="machine" in said.traits,
        rank=_rank(said),
    )


def _says_nothing_else(word: Word) -> bool:
    """Whether a word leaves it open what a mask shows."""
    return word.facet not in {"", "mask"} or word.value in {"reader", "machine"}


def _why_not(said: ImageName, target: Target) -> str:
    if "brain mask" in said.traits:
        return "a mask of the brain or the body"
    shown = _texts(said.words)
    own = {name for name, words in _GROUPS.items() if words & _words_of_target(target)}
    group = next((name for name, words in _GROUPS.items() if words & shown), "")
    if own and group and group not in own:
        words = ", ".join(sorted(shown & _GROUPS[group]))
        return f"it shows {words}, no structure of {target.name}"
    says_mask = said.is_mask and any(word.meaning in _MASK for word in said.words)
    if not says_mask and not shown & _MORE_MASKS:
        return "its name tells no mask"
    return _part_of(shown, target)


def _part_of(shown: frozenset[str], target: Target) -> str:
    """Why a mask of some labels alone is none of the target: its values need not be theirs."""
    general = _split([target.name, target.instance, *target.mask_aliases])
    named = [label for label in target.label_names if shown & (_split([label]) - general)]
    if named and len(named) < len(target.labels):
        return f"it shows {', '.join(named)} alone, of {len(target.labels)} labels"
    return ""


def _words_of_target(target: Target) -> frozenset[str]:
    return _split([target.name, target.instance, *target.label_names, *target.mask_aliases])


def _split(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.lower().replace("_", " ").split())


def _texts(words: Iterable[Word]) -> frozenset[str]:
    return _split(word.text for word in words)


def _rank(said: ImageName) -> Rank:
    texts = _texts(said.words)
    if texts & _CONSENSUS:
        return Rank.CONSENSUS
    if "reader" in said.traits:
        return Rank.READER
    is_plain = all(word.facet == "mask" or word.meaning == ENTITY for word in said.words)
    return Rank.PLAIN if is_plain or texts & _NEWER else Rank.OTHER
