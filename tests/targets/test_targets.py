from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.sr._concepts_dict import concepts

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.targets import Code, Label, Sequence, Target, load_target, shipped_targets

MINIMAL: dict[str, Any] = {
    "name": "knee",
    "instance": "knee cartilage",
    "labels": [{"name": "cartilage", "value": 1}],
    "sequences": [
        {"name": "PD", "prompt_name": "MRI-PD", "aliases": ["pd"]},
        {"name": "T2", "spoken": "MRI-T2", "aliases": ["t2"]},
    ],
    "reference": ["T2"],
}
KIDNEY = {"value": "64033007", "meaning": "Kidney"}
PROSTATE_ZONES = {
    "279706003": {"Peripheral zone of the prostate"},
    "399384005": {"Transition zone of the prostate"},
}
"""Of DICOM CID 6300, version 20210120. pydicom's dictionary is older."""


def dictionary_meanings(code: Code) -> set[str]:
    """All meanings of a code in the dictionary of pydicom, which is made of DICOM PS3.16."""
    entries = concepts[code.scheme].values()
    meanings = {entry[code.value][0] for entry in entries if code.value in entry}
    return meanings | PROSTATE_ZONES.get(code.value, set())


def test_the_seven_targets_are_shipped() -> None:
    assert set(shipped_targets()) == {
        "abdomen",
        "brain_tumour",
        "brain_tumour_parts",
        "ms_lesion",
        "phantom",
        "prostate",
        "prostate_zones",
    }


@pytest.mark.parametrize(
    ("parts", "whole"), [("brain_tumour_parts", "brain_tumour"), ("prostate_zones", "prostate")]
)
def test_the_parts_of_a_structure_are_looked_for_in_the_same_images(parts: str, whole: str) -> None:
    one, other = load_target(parts), load_target(whole)
    assert one.sequences == other.sequences
    assert (one.reference, one.mask_aliases) == (other.reference, other.mask_aliases)
    assert len(one.labels) > 1
    assert one.instance != other.instance


def test_the_regions_of_brats_are_unions_of_its_parts() -> None:
    groups = {
        name: set(labels) for name, labels in load_target("brain_tumour_parts").groups.items()
    }
    assert groups["enhancing tumour"] < groups["tumour core"] < groups["whole tumour"]
    assert groups["whole tumour"] - groups["tumour core"] == {"oedema"}


@pytest.mark.parametrize(
    ("convention", "meanings"),
    [
        ("brats2017", {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
        ("brats2023", {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"}),
        ("brats2013", {1: "necrotic core", 2: "oedema", 3: "necrotic core", 4: "enhancing tumour"}),
        ("msd", {1: "oedema", 2: "necrotic core", 3: "enhancing tumour"}),
    ],
)
def test_the_values_of_a_mask_mean_what_its_data_set_says(
    convention: str, meanings: dict[int, str]
) -> None:
    target = load_target("brain_tumour_parts").reading(convention)
    assert meanings == {
        value: label.name for label in target.labels for value in label.foreign_values
    }


def test_masks_of_an_unnamed_convention_are_refused_where_it_matters() -> None:
    with pytest.raises(InputError, match="--convention peripheral-first"):
        load_target("prostate_zones").reading(None)
    with pytest.raises(UnknownNameError, match="did you mean 'brats2023'"):
        load_target("brain_tumour_parts").reading("brats2024")
    with pytest.raises(UnknownNameError, match="no convention is known"):
        load_target("prostate").reading("msd")
    assert load_target("prostate").reading(None) == load_target("prostate")


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_a_shipped_target_is_named_like_its_file(name: str) -> None:
    assert load_target(name).name == name


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_a_shipped_target_may_be_the_key_of_a_cache(name: str) -> None:
    assert {load_target(name): 1}[load_target(name)] == 1


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_no_alias_of_a_shipped_target_means_two_sequences(name: str) -> None:
    aliases = [alias for sequence in load_target(name).sequences for alias in sequence.aliases]
    assert sorted(set(aliases)) == sorted(aliases)


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_aliases_are_lower_case_as_the_matching_expects(name: str) -> None:
    aliases = [alias for sequence in load_target(name).sequences for alias in sequence.aliases]
    assert aliases == [alias.lower() for alias in aliases]


def test_the_abdomen_has_four_organs_in_channel_order() -> None:
    assert load_target("abdomen").label_names == (
        "liver",
        "right kidney",
        "left kidney",
        "spleen",
    )


def test_label_values_are_those_of_the_yaml_in_channel_order() -> None:
    assert list(load_target("phantom").label_values.items()) == [("lesion", 1), ("cyst", 2)]


def test_every_annotated_region_of_a_brats_mask_is_tumour() -> None:
    assert load_target("brain_tumour").labels[0].foreign_values == (1, 2, 3, 4)


def test_a_target_file_of_the_user_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "knee.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    assert load_target(str(path)).sequence_names == ("PD", "T2")


def test_a_target_may_have_letters_of_any_language_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "knee.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, "name": "Läsion 2"}))
    assert load_target(str(path)).name == "Läsion 2"


def test_a_target_of_aliases_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "laughs.yaml"
    lists = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    path.write_text("\n".join(["a0: &a0 [ha]", *lists]))
    with pytest.raises(InputError, match=r"laughs.yaml: an alias, \*a0; write its value out"):
        load_target(str(path))


def test_an_unknown_target_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'prostate'"):
        load_target("prostrate")


def test_a_missing_target_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.yaml"):
        load_target(str(tmp_path / "nothing.yaml"))


def test_a_file_that_is_no_yaml_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("labels: [")
    with pytest.raises(InputError, match=r"broken.yaml"):
        load_target(str(path))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": []}, "labels"),
        ({"name": "../../x"}, "name '../../x' is not plain"),
        ({"name": ".hidden"}, "not plain"),
        ({"name": "k" * 65}, "has 65 characters"),
        ({"name": "knee/left"}, "not plain"),
        ({"name": "Cache"}, "Cache is a folder of the state folder"),
        ({"sequences": [{"name": "../T2", "spoken": "T2", "aliases": ["t2"]}]}, "not plain"),
        ({"labels": [{"name": "bone", "value": 0}]}, "value"),
        ({"labels": [{"name": "bone", "value": 256}]}, "value"),
        ({"colour": "red"}, "colour"),
        ({"reference": ["FLAIR"]}, "FLAIR"),
        (
            {"labels": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]},
            "label names repeat",
        ),
        (
            {"labels": [{"name": "a", "value": 1}, {"name": "b", "value": 1}]},
            "label values repeat",
        ),
        ({"groups": {"joint": ["cartilage", "bone"]}}, "joint names unknown labels: .'bone'"),
        ({"import_conventions": {"oai": {"bone": [1]}}}, "oai names unknown labels: .'bone'"),
        ({"import_conventions": {"oai": {"cartilage": [1, 1]}}}, "oai: values repeat"),
        ({"labels": [{"name": "a", "value": 1, "type": KIDNEY}]}, "one of category and type"),
        ({"labels": [{"name": "a", "value": 1, "type_modifier": KIDNEY}]}, "has a type_modifier"),
        (
            {"labels": [{"name": "a", "value": 1, "region": {"value": "1\\2", "meaning": "b"}}]},
            "region.value",
        ),
    ],
)
def test_a_target_that_makes_no_sense_is_refused_by_its_field(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "knee.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **change}))
    with pytest.raises(InputError, match=named):
        load_target(str(path))


def test_a_code_is_one_of_snomed_ct_unless_its_scheme_is_named(tmp_path: Path) -> None:
    label = {"name": "a", "value": 1, "category": {"value": 123037004, "meaning": "b"}}
    path = tmp_path / "knee.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, "labels": [{**label, "type": KIDNEY}]}))
    category = load_target(str(path)).labels[0].category
    assert category == Code(value="123037004", meaning="b", scheme="SCT")


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_each_code_of_a_shipped_target_has_its_meaning_in_the_dictionary_of_dicom(
    name: str,
) -> None:
    for label in load_target(name).labels:
        assert None not in (label.category, label.type), label.name
        for code in (label.category, label.type, label.type_modifier, label.region):
            assert code is None or code.meaning in dictionary_meanings(code), code


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_no_two_labels_of_a_shipped_target_have_the_same_codes(name: str) -> None:
    codes = [(label.type, label.type_modifier) for label in load_target(name).labels]
    assert len(set(codes)) == len(codes)


def test_the_kidneys_are_told_apart_by_right_and_left() -> None:
    modifiers = [label.type_modifier for label in load_target("abdomen").labels]
    assert [code and code.meaning for code in modifiers] == [None, "Right", "Left", None]


def test_the_preferred_reference_wins_when_it_is_present() -> None:
    assert Target.model_validate(MINIMAL).reference_of(("PD", "T2")) == "T2"


def test_without_the_preferred_reference_the_first_sequence_stands_in() -> None:
    assert Target.model_validate(MINIMAL).reference_of(("PD",)) == "PD"


def test_a_study_with_no_sequence_of_the_target_has_no_reference() -> None:
    with pytest.raises(InputError, match=r"it has: DWI.*at least one of PD, T2"):
        Target.model_validate(MINIMAL).reference_of(("DWI",))


def test_a_label_has_its_name_in_prompts_by_default() -> None:
    assert Label(name="liver", value=1).prompt_name == "liver"
    assert Label(name="lesion", value=1, instance="brain lesion").prompt_name == "brain lesion"


def test_a_label_imports_its_own_value_by_default() -> None:
    assert Label(name="liver", value=7).foreign_values == (7,)
    assert Label(name="gland", value=1, import_values=(1, 2)).foreign_values == (1, 2)


def test_the_old_spelling_of_prompt_name_is_still_read() -> None:
    sequence = Sequence.model_validate({"name": "T2", "spoken": "MRI-T2", "aliases": ["t2"]})
    assert sequence.prompt_name == "MRI-T2"
