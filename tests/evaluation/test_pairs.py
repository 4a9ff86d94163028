"""Masks find the truth of their study by the names of files and folders, or are listed."""

import os
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.evaluation.pairs import Pairs, find_pairs
from zeus_app.targets import load_target


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(tmp_path: Path, masks: list[str], truth: list[str]) -> Pairs:
    """The pairs of two folders with these files."""
    return find_pairs(make(tmp_path / "masks", *masks), make(tmp_path / "truth", *truth))


def named(pairs: Pairs, tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Case -> the two files, below their folders."""
    return {
        pair.case: (
            pair.mask.relative_to(tmp_path / "masks").as_posix(),
            pair.truth.relative_to(tmp_path / "truth").as_posix(),
        )
        for pair in pairs.pairs
    }


@pytest.mark.parametrize(
    ("masks", "truth", "case"),
    [
        ("p1.nii.gz", "p1.nii.gz", "p1"),
        ("p1.nii.gz", "p1.nrrd", "p1"),
        ("p1/mask.nii.gz", "p1.nii.gz", "p1"),
        ("p1/mask.nii.gz", "p1/mask.nii.gz", "p1"),
        ("p1/mask.nii.gz", "p1/anything.nii.gz", "p1"),
        ("p1/mask.nii.gz", "p1/p1-seg.nii.gz", "p1"),
        ("p1/mask.nii.gz", "p1.seg.nrrd", "p1"),
        ("p1/mask.nii.gz", "deep/er/p1/mask.nii.gz", "p1"),
        ("p1/mask.nii.gz", "p1_seg.nii.gz", "p1"),
        ("P1_pred.nii.gz", "p1-ground_truth.nii.gz", "P1_pred"),
        ("anna_visit1/mask.nii.gz", "anna/visit1/seg.nii.gz", "anna_visit1"),
        ("sub-1_ses-2/mask.nii.gz", "sub-1/ses-2/anat/x_dseg.nii.gz", "sub-1_ses-2"),
        ("Muller-fa6a2313/mask.nii.gz", "Müller/seg.nii.gz", "Muller-fa6a2313"),
    ],
)
def test_a_mask_finds_the_truth_of_its_study(
    tmp_path: Path, masks: str, truth: str, case: str
) -> None:
    pairs = found(tmp_path, [masks, "q2.nii.gz"], [truth, "r3.nii.gz"])
    assert named(pairs, tmp_path) == {case: (masks, truth)}
    assert {path.name for path in pairs.alone} == {"q2.nii.gz", "r3.nii.gz"}


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    make(tmp_path, "a.nii.gz", "b.nrrd")
    pairs = find_pairs(tmp_path / "a.nii.gz", tmp_path / "b.nrrd")
    assert [(pair.mask.name, pair.truth.name) for pair in pairs.pairs] == [("a.nii.gz", "b.nrrd")]
    assert not pairs.alone


def test_one_file_is_called_after_its_folder_if_its_own_name_says_nothing(tmp_path: Path) -> None:
    make(tmp_path, "out/p1/mask.nii.gz", "truth/p1.nii.gz", "truth/p2.nii.gz")
    pairs = find_pairs(tmp_path / "out/p1/mask.nii.gz", tmp_path / "truth")
    assert [(pair.case, pair.truth.name) for pair in pairs.pairs] == [("p1", "p1.nii.gz")]
    assert list(pairs.alone) == [tmp_path / "truth/p2.nii.gz"]


def test_among_images_the_file_that_is_named_a_mask_is_taken(tmp_path: Path) -> None:
    images = ["p1/flair.nii.gz", "p1/t1.nii.gz", "p1/p1_seg.nii.gz"]
    pairs = found(tmp_path, ["p1.nii.gz"], images)
    assert named(pairs, tmp_path) == {"p1": ("p1.nii.gz", "p1/p1_seg.nii.gz")}
    assert not pairs.alone


def test_another_mask_beside_the_one_that_is_taken_is_listed(tmp_path: Path) -> None:
    truth = ["p1/seg.nii.gz", "p1/seg_reader2.nii.gz", "p1/t1.nii.gz"]
    pairs = found(tmp_path, ["p1.nii.gz"], truth)
    assert named(pairs, tmp_path) == {"p1": ("p1.nii.gz", "p1/seg.nii.gz")}
    assert {path.name: why for path, why in pairs.alone.items()} == {
        "seg_reader2.nii.gz": "another mask of its folder is taken"
    }


def test_with_a_target_names_are_read_as_zeus_import_labels_reads_them(tmp_path: Path) -> None:
    folders = make(tmp_path / "masks", "p1.nii.gz"), make(
        tmp_path / "truth", "p1/Flair.nii.gz", "p1/OTMultiClass.nii.gz", "p1/brain_mask.nii.gz",
        "p1/seg-ai.nii.gz",
    )  # fmt: skip
    assert not find_pairs(*folders).pairs
    pairs = find_pairs(*folders, target=load_target("brain_tumour"))
    assert [pair.truth.name for pair in pairs.pairs] == ["OTMultiClass.nii.gz"]


def test_a_plain_mask_wins_over_those_of_single_sequences(tmp_path: Path) -> None:
    masks = ["p1/mask.nii.gz", "p1/mask_T2.nii.gz", "p1/mask_FLAIR.nii.gz"]
    assert named(found(tmp_path, masks, ["p1.nii.gz"]), tmp_path) == {
        "p1": ("p1/mask.nii.gz", "p1.nii.gz")
    }


def test_a_folder_of_many_studies_is_no_study(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["p1/mask.nii.gz", "p2/mask.nii.gz"],
                  ["train/p1.nii.gz", "train/p2.nii.gz"])  # fmt: skip
    assert named(pairs, tmp_path) == {
        "p1": ("p1/mask.nii.gz", "train/p1.nii.gz"),
        "p2": ("p2/mask.nii.gz", "train/p2.nii.gz"),
    }


def test_two_masks_of_one_study_are_listed_and_not_guessed(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["p1.nii.gz", "p1.nii"], ["p1.nii.gz"])
    assert not pairs.pairs
    assert len(pairs.alone) == 3
    assert all("2 masks and 1 truth" in reason for reason in pairs.alone.values())


def test_two_readers_masks_are_listed_and_not_guessed(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["p1.nii.gz"], ["p1/seg_reader1.nii.gz", "p1/seg_reader2.nii.gz"])
    assert not pairs.pairs
    assert len(pairs.alone) == 3


def test_names_that_differ_by_more_than_words_for_masks_are_no_pair(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["p1.nii.gz", "p1_T2.nii.gz"], ["p12.nii.gz", "p1_T1.nii.gz"])
    assert not pairs.pairs


def test_the_same_visit_of_two_patients_is_no_pair(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["anna/visit1/mask.nii.gz"], ["berta/visit1/seg.nii.gz"])
    assert not pairs.pairs


def test_what_is_no_image_is_not_listed_and_an_unread_format_is(tmp_path: Path) -> None:
    pairs = found(tmp_path, ["p1/mask.nii.gz", "p1/mask.json", "p1/preview.png", "._p2.nii.gz"],
                  ["p1.nii.gz", "p2.img", "p2.hdr"])  # fmt: skip
    assert named(pairs, tmp_path) == {"p1": ("p1/mask.nii.gz", "p1.nii.gz")}
    assert {path.name: why.split(";")[0] for path, why in pairs.alone.items()} == {
        "p2.hdr": "not readable: a NIfTI or Analyze image of two files",
    }


def test_a_missing_folder_and_the_same_folder_twice_are_refused(tmp_path: Path) -> None:
    masks = make(tmp_path / "masks", "p1.nii.gz")
    with pytest.raises(InputError, match="does not exist"):
        find_pairs(masks, tmp_path / "none")
    (tmp_path / "link").symlink_to(masks)
    with pytest.raises(InputError, match="the same"):
        find_pairs(masks, tmp_path / "link")


def test_a_name_that_is_no_utf_8_is_listed(tmp_path: Path) -> None:
    name = os.fsdecode(b"M\xfcller.nii.gz")
    pairs = found(tmp_path, ["p1.nii.gz", name], ["p1.nii.gz", name])
    assert [pair.case for pair in pairs.pairs] == ["p1"]
    assert all("UTF-8" in reason for reason in pairs.alone.values())
