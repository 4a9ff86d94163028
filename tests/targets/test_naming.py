import pytest

from zeus_app.targets import load_target
from zeus_app.targets.naming import Names, safe_id, split_name


def spelled(name: str, target: str) -> list[str]:
    return [hit.sequence for hit in Names.of(load_target(target)).hits(split_name(name))]


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("Brats18_x_t1ce", "T1Gd"),
        ("Brats18_x_t1", "T1"),
        ("BraTS-GLI-00000-000-t1n", "T1"),
        ("BraTS-GLI-00000-000-t1c", "T1Gd"),
        ("BraTS-GLI-00000-000-t2f", "FLAIR"),
        ("BraTS-GLI-00000-000-t2w", "T2"),
        ("patient07_T1POST", "T1Gd"),
        ("patient07T1POST", "T1Gd"),
        ("Flair_subtrMeanDivStd", "FLAIR"),
        ("T1c_subtrMeanDivStd", "T1Gd"),
        ("TCGA-DU-7294_fla_bet", "FLAIR"),
        ("sub-01_T1w", "T1"),
        ("sub-01_ce-gadolinium_T1w", "T1Gd"),
        ("scan_T1_brain", "T1"),
        ("t1-gd", "T1Gd"),
        ("T1_AX_POST", "T1Gd"),
        ("AX T2 FLAIR", "FLAIR"),
        ("AXT2FLAIR", "FLAIR"),
        ("3DT1", "T1"),
        ("T1wReg", "T1"),
    ],
)
def test_the_longest_alias_in_a_brain_scans_name_wins(name: str, sequence: str) -> None:
    assert spelled(name, "brain_tumour")[0] == sequence


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("ProstateX-0000_adc", "ADC"),
        ("ProstateX-0000_hbv", "HBV"),
        ("4.000000-t2tsetra-00702", "T2"),
        ("t2_tse_tra", "T2"),
    ],
)
def test_prostate_scans_names_are_understood(name: str, sequence: str) -> None:
    assert spelled(name, "prostate") == [sequence]


@pytest.mark.parametrize(
    ("name", "sequence"),
    [("t2spir", "T2-SPIR"), ("T1DUAL DICOM_anon InPhase", "T1-in"), ("OutPhase", "T1-out")],
)
def test_abdominal_scans_names_are_understood(name: str, sequence: str) -> None:
    assert spelled(name, "abdomen") == [sequence]


@pytest.mark.parametrize("name", ["T1MAP", "t2_map", "T2star", "T1rho", "art1sum", "dwi", "x"])
def test_what_only_starts_like_a_sequence_is_none(name: str) -> None:
    assert spelled(name, "brain_tumour") == []


@pytest.mark.parametrize(
    "name",
    [
        "x_seg", "OTMultiClass", "brainmask", "T1_brain_mask", "patient07_lesion_gt", "FlairMask",
        "TCGA-DU-7294_seg-ai-consensus", "label", "W39_1998.09.19_Segm", "sub-01_dseg",
    ],
)  # fmt: skip
def test_masks_are_known_by_name_whatever_the_target(name: str) -> None:
    assert Names.of(load_target("prostate")).is_mask(split_name(name))


@pytest.mark.parametrize(
    "name",
    [
        "T1_betmask", "FLAIR_lesionmask", "T1_tumormask", "FLAIR_seg2", "T1_mask1", "T1_labels1",
        "T1_lesionmasks_02", "T2_manualseg",
    ],
)  # fmt: skip
def test_fused_and_numbered_words_mark_a_mask_too(name: str) -> None:
    assert Names.of(load_target("brain_tumour")).is_mask(split_name(name))


@pytest.mark.parametrize("name", ["T1_masked", "T1_1", "FLAIR_2", "T1_segue"])
def test_words_that_only_resemble_a_mask_mark_none(name: str) -> None:
    assert not Names.of(load_target("brain_tumour")).is_mask(split_name(name))


def test_a_sequences_alias_may_end_like_a_mask() -> None:
    t1 = load_target("phantom").sequences[0].model_copy(update={"aliases": ("spinlabel",)})
    names = Names.of(load_target("phantom").model_copy(update={"sequences": (t1,)}))
    assert not names.is_mask(split_name("anna_spinlabel"))


def test_a_word_of_the_target_in_front_of_the_sequence_is_the_patients_name() -> None:
    names = Names.of(load_target("prostate"))
    assert not names.is_mask(split_name("prostate_t2"))
    assert names.is_mask(split_name("t2_prostate"))


@pytest.mark.parametrize(
    ("name", "study_id"),
    [
        ("Brats18_CBICA_1", "Brats18_CBICA_1"),
        ("Müller, Anna / 3", "Muller_Anna_3"),
        ("../x", "x"),
        ("患者", "study-9db4a3b3"),
        ("...", "study"),
        ("a?b#c%d", "a_b_c_d"),
    ],
)
def test_ids_are_safe_in_paths_and_urls(name: str, study_id: str) -> None:
    assert safe_id(name) == study_id
