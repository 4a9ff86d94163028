"""The names that masks have in public data sets and programs, and what they say."""

import pytest

from zeus_app.labels.mask_names import MaskName, Rank, read_mask_name
from zeus_app.targets import Target, load_target
from zeus_app.targets.naming import Names

BRAIN, PROSTATE = load_target("brain_tumour"), load_target("prostate")
MS, ABDOMEN = load_target("ms_lesion"), load_target("abdomen")


def read(name: str, target: Target = BRAIN, *, in_mask_folder: bool = False) -> MaskName:
    return read_mask_name(name, Names.of(target), in_mask_folder=in_mask_folder)


USUAL = """
    Segmentation segmentation _segmentations _annotation ROI roi mask Mask label labels gt GT seg
    segm Seg-label Segmentation-label Segmentation.seg lesion lesions tumor_seg tumour_mask
    manual_mask ground_truth GroundTruth OTMultiClass space-orig_label-lesion_mask
    label-lesion_mask space-T1w_dseg T1w_lesion-manual T1w_seg-manual FLAIR_mask
    flair_lesion_manual_JD mask_v2 seg_final lesion_mask contours delineation consensus
    seg_reader1 lesion_rater2 mask_expert3 rater2 expert_3 LesionMask lesionSeg-FLAIR VOI_1 anno
    Maske masque маска 标注
"""


@pytest.mark.parametrize("name", USUAL.split())
def test_the_usual_names_are_those_of_a_mask_of_the_target(name: str) -> None:
    for target in (BRAIN, MS):
        assert read(name, target).may_be_mask
        assert read(name, target).reason == ""


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("brainmask", MS, "a mask of the brain or the body"),
        ("T1_brain_mask", BRAIN, "a mask of the brain or the body"),
        ("liver_mask", BRAIN, "it shows liver, no structure of brain_tumour"),
        ("aseg", BRAIN, "it shows aseg, no structure of brain_tumour"),
        ("wm_seg", MS, "it shows wm, no structure of ms_lesion"),
        ("whole_gland", BRAIN, "it shows gland, no structure of brain_tumour"),
        ("lesion", PROSTATE, "it shows lesion, no structure of prostate"),
        ("prostate_lesion_mask", PROSTATE, "it shows lesion, no structure of prostate"),
        ("csPCa_human_expert", PROSTATE, "it shows cspca, no structure of prostate"),
        ("spleen_seg", ABDOMEN, "it shows spleen alone, of 4 labels"),
        ("kidney_mask", ABDOMEN, "it shows right kidney, left kidney alone, of 4 labels"),
        ("scan", BRAIN, "its name tells no mask"),
    ],
)
def test_masks_of_other_structures_are_told_apart(name: str, target: Target, reason: str) -> None:
    assert read(name, target).reason == reason


@pytest.mark.parametrize(
    ("name", "target"),
    [("wm_lesion_mask", MS), ("whole_gland", PROSTATE), ("pz_tz_seg", PROSTATE),
     ("prostate", PROSTATE), ("organs_label", ABDOMEN), ("core_seg", BRAIN)],
)  # fmt: skip
def test_the_target_s_own_structures_are_its_own(name: str, target: Target) -> None:
    assert read(name, target).reason == ""


@pytest.mark.parametrize("name", ["", "FLAIR", "sub-01_T1w", "001"])
def test_in_a_folder_for_masks_the_name_needs_no_word_for_masks(name: str) -> None:
    assert read(name, in_mask_folder=True).reason == ""
    assert read(name).reason != ""


def test_in_a_folder_for_masks_a_word_of_unknown_meaning_is_another_structure() -> None:
    assert read("amygdaloid", in_mask_folder=True).reason == "its name tells no mask"


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("consensus", Rank.CONSENSUS),
        ("seg_staple", Rank.CONSENSUS),
        ("lesion_majority_vote", Rank.CONSENSUS),
        ("seg", Rank.PLAIN),
        ("lesion_mask", Rank.PLAIN),
        ("label-lesion_mask", Rank.PLAIN),
        ("seg_corrected", Rank.PLAIN),
        ("seg_old", Rank.OTHER),
        ("FLAIR_lesion", Rank.OTHER),
        ("seg_reader1", Rank.READER),
        ("lesion_rater2", Rank.READER),
    ],
)
def test_a_consensus_counts_before_a_plain_name_and_readers_come_last(
    name: str, rank: Rank
) -> None:
    assert read(name).rank is rank


@pytest.mark.parametrize("name", ["seg_ai", "mask_pred", "lesion_nnunet", "seg-auto"])
def test_a_name_tells_that_a_machine_drew_the_mask(name: str) -> None:
    assert read(name).is_machine_made
    assert not read("seg").is_machine_made


@pytest.mark.parametrize(
    ("name", "may_be"),
    [("brainmask", True), ("prediction", True), ("drawn by anna", True), ("T1_bias", False),
     ("dwi", False)],
)  # fmt: skip
def test_what_is_no_sequence_may_be_a_mask_and_is_told(name: str, may_be: bool) -> None:
    assert read(name).may_be_mask is may_be


def test_of_a_target_whose_structures_are_unknown_every_mask_may_be_one() -> None:
    own = BRAIN.model_copy(
        update={
            "name": "own", "instance": "parts of the ear", "mask_aliases": (),
            "labels": (BRAIN.labels[0].model_copy(update={"name": "incus"}),),
        }
    )  # fmt: skip
    assert read("liver_mask", own).reason == ""
