"""Names are read for a target: its sequences, its own aliases, and its own masks."""

import pytest

from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.targets import Target, load_target
from zeus_app.targets.naming import MASK_FOLDERS, Names, safe_id


def sequence(name: str, target: str | Target, *, is_description: bool = False) -> str:
    names = Names.of(load_target(target) if isinstance(target, str) else target)
    return names.sequence(names.read(name, is_description=is_description))


def is_mask(name: str, target: str = "brain_tumour") -> bool:
    return Names.of(load_target(target)).read(name).is_mask


def with_aliases(target: str, sequence_name: str, *aliases: str) -> Target:
    """A shipped target with other aliases of one sequence."""
    shipped = load_target(target)
    return shipped.model_copy(update={
        "sequences": tuple(
            one.model_copy(update={"aliases": aliases}) if one.name == sequence_name else one
            for one in shipped.sequences
        )
    })  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
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
def test_names_of_brain_scans_are_understood(name: str, expected: str) -> None:
    assert sequence(name, "brain_tumour") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ProstateX-0000_adc", "ADC"),
        ("ProstateX-0000_hbv", "HBV"),
        ("4.000000-t2tsetra-00702", "T2"),
        ("t2_tse_tra", "T2"),
        ("dwi_b1400", "HBV"),
    ],
)
def test_names_of_prostate_scans_are_understood(name: str, expected: str) -> None:
    assert sequence(name, "prostate") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t2spir", "T2-SPIR"),
        ("T1DUAL DICOM_anon InPhase", "T1-in"),
        ("OutPhase", "T1-out"),
        ("t2_haste_fs", "T2-SPIR"),
    ],
)
def test_names_of_abdominal_scans_are_understood(name: str, expected: str) -> None:
    assert sequence(name, "abdomen") == expected


@pytest.mark.parametrize("name", ["T1MAP", "t2_map", "T2star", "T1rho", "art1sum", "dwi", "x"])
def test_what_only_starts_like_a_sequence_is_none(name: str) -> None:
    assert sequence(name, "brain_tumour") == ""


@pytest.mark.parametrize(
    "name",
    [
        "x_seg", "OTMultiClass", "brainmask", "T1_brain_mask", "patient07_lesion_gt", "FlairMask",
        "TCGA-DU-7294_seg-ai-consensus", "label", "W39_1998.09.19_Segm", "sub-01_dseg",
    ],
)  # fmt: skip
def test_masks_are_known_by_name_whatever_the_target(name: str) -> None:
    assert is_mask(name, "prostate")


@pytest.mark.parametrize(
    "name",
    [
        "T1_betmask", "FLAIR_lesionmask", "T1_tumormask", "FLAIR_seg2", "T1_mask1", "T1_labels1",
        "T1_lesionmasks_02", "T2_manualseg",
    ],
)  # fmt: skip
def test_fused_and_numbered_words_mark_a_mask_too(name: str) -> None:
    assert is_mask(name)


@pytest.mark.parametrize("name", ["T1_masked", "T1_1", "FLAIR_2", "T1_segue"])
def test_words_that_only_resemble_a_mask_mark_none(name: str) -> None:
    assert not is_mask(name)


def test_a_sequences_alias_may_end_like_a_mask() -> None:
    target = with_aliases("phantom", "T2", "spinlabel")
    assert sequence("anna_spinlabel", target) == "T2"
    assert not Names.of(target).read("anna_spinlabel").is_mask


def test_a_word_of_the_target_in_front_of_the_sequence_is_the_patients_name() -> None:
    assert not is_mask("prostate_t2", "prostate")
    assert is_mask("t2_prostate", "prostate")
    assert is_mask("prostate", "prostate")
    assert not is_mask("t2_prostate", "brain_tumour")


def test_an_alias_is_read_in_the_words_around_it() -> None:
    target = with_aliases("brain_tumour", "T2", "HYCE", "ge sms-epi")
    assert sequence("HKCL 3D HYCE dor", target) == "T2"
    assert sequence("anna_HYCE_7", target) == "T2"
    assert sequence("anna_ge_SMS_EPI", target) == "T2"
    assert sequence("HYCEx", target) == ""
    assert Names.of(target).read("anna_HYCE").name[:5] == "anna_"
    assert Names.of(target).read("anna_HYCE").start == 5


def test_an_alias_wins_over_the_meaning_that_the_field_gives_it() -> None:
    target = with_aliases("brain_tumour", "T1Gd", "BRAVO", "SWI")
    assert sequence("anna_SWI", target) == "T1Gd"
    assert sequence("anna_T1_BRAVO", target) == "T1Gd"
    assert sequence("anna_SWI", "brain_tumour") == ""


def test_an_alias_without_letters_means_nothing() -> None:
    target = with_aliases("brain_tumour", "T1Gd", "--", "+")
    assert sequence("anna_T1", target) == "T1"
    assert sequence("anna_T2 +", target) == "T1Gd"


def test_a_target_may_name_its_sequences_in_its_own_way() -> None:
    shipped = load_target("brain_tumour")
    names = {"T1Gd": "t1ce", "T1": "native T1", "FLAIR": "Dark Fluid", "T2": "contrast two"}
    own = tuple(
        one.model_copy(update={"name": names[one.name], "aliases": ()}) for one in shipped.sequences
    )
    target = shipped.model_copy(update={"sequences": own})
    assert sequence("anna_T1_post", target) == "t1ce"
    assert sequence("anna_T1", target) == "native T1"
    assert sequence("anna_T2_FLAIR", target) == "Dark Fluid"
    assert sequence("anna_contrast_two", target) == "contrast two"
    assert sequence("anna_T2", target) == ""


def test_t2_with_fat_suppression_stands_for_t2_only_where_nothing_else_does() -> None:
    assert sequence("t2_tse_fs", "prostate") == "T2"
    assert sequence("t2_tse_fs", "abdomen") == "T2-SPIR"
    assert sequence("t2_tse", "abdomen") == ""


def test_an_unclear_name_means_no_sequence_but_tells_which_it_may_be() -> None:
    names = Names.of(load_target("brain_tumour"))
    said = names.read("anna_T1_pre_post")
    assert (names.sequence(said), names.sequences(said)) == ("", ("T1", "T1Gd"))
    assert names.sequences(names.read("CT_T1")) == ("T1",)
    assert names.sequence(names.read("CT_T1")) == ""


def test_a_description_names_no_patient() -> None:
    assert sequence("SUB 1 T1", "brain_tumour", is_description=True) == ""
    assert sequence("SUB_1_T1", "brain_tumour") == "T1"


def test_the_aliases_of_the_shipped_targets_mean_their_sequences() -> None:
    for name in ("brain_tumour", "ms_lesion", "prostate", "abdomen", "phantom"):
        target = load_target(name)
        for one in target.sequences:
            for alias in (one.name, *one.aliases):
                assert sequence(f"anna_{alias}", target) == one.name, alias


def test_equal_targets_share_their_words() -> None:
    first, second = Names.of(load_target("prostate")), Names.of(load_target("prostate"))
    assert first.vocabulary is second.vocabulary


def test_the_words_of_a_target_do_not_change_the_shipped_ones() -> None:
    before = dict(shipped_vocabulary().phrases)
    sequence("x", with_aliases("brain_tumour", "T1Gd", "SWI"))
    assert shipped_vocabulary().phrases == before


def test_messages_list_the_sequences_of_the_target() -> None:
    assert Names.of(load_target("prostate")).listed == "T2, ADC, HBV"


def test_folders_of_masks_are_known() -> None:
    assert {"labels", "seg", "labelstr", "gt"} <= MASK_FOLDERS


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
    # A name with other letters ends with a hash, so that Müller and Muller are two studies.
    assert safe_id(name).startswith(study_id)
    assert (safe_id(name) == study_id) is (name.isascii() or study_id.startswith("study-"))
