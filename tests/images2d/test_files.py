"""Images and masks are matched by their names."""

from pathlib import Path

import pytest

from tests.images2d.painted import grey_image, write
from zeus_app.errors import InputError
from zeus_app.images2d.files import find_images, match_masks, refuse_missing


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        write(folder / name, grey_image())
    return folder


def matched(images: Path, masks: Path) -> dict[str, list[str]]:
    pairs, _ = match_masks(find_images(images), masks)
    return {
        pair.name: [path.relative_to(masks).as_posix() for path in pair.masks] for pair in pairs
    }


def test_images_of_all_formats_are_found_in_subfolders_too(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.jpg", "sub/c.TIFF", "d.bmp", "e.jpeg")
    (tmp_path / "notes.txt").write_text("no image")
    names = [image.name for image in find_images(tmp_path)]
    assert names == ["a", "b", "d", "e", "sub/c"]


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "._a.png", ".cache/b.png")
    assert [image.name for image in find_images(tmp_path)] == ["a"]


def test_a_single_file_is_an_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", grey_image())
    assert [(image.name, image.path) for image in find_images(path)] == [("a", path)]


@pytest.mark.parametrize(
    "mask", ["a.png", "a.bmp", "a_mask.png", "a_segmentation.png", "a-seg.png", "a_Mask.png"]
)
def test_a_mask_has_the_stem_of_its_image_or_an_ending_more(mask: str, tmp_path: Path) -> None:
    images, masks = touch(tmp_path / "i", "a.jpg"), touch(tmp_path / "m", mask)
    assert matched(images, masks) == {"a": [mask]}


def test_several_masks_of_one_image_belong_together(tmp_path: Path) -> None:
    touch(tmp_path, "benign/benign (1).png", "benign/benign (1)_mask.png")
    touch(tmp_path, "benign/benign (1)_mask_1.png")
    assert matched(tmp_path, tmp_path) == {
        "benign/benign (1)": ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png"]
    }


def test_images_of_one_name_in_two_folders_have_their_own_masks(tmp_path: Path) -> None:
    images = touch(tmp_path / "i", "x/a.png", "y/a.png")
    masks = touch(tmp_path / "m", "x/a.png", "y/a.png")
    assert matched(images, masks) == {"x/a": ["x/a.png"], "y/a": ["y/a.png"]}


def test_masks_may_lie_in_one_folder_where_names_are_clear(tmp_path: Path) -> None:
    images, masks = touch(tmp_path / "i", "x/a.png"), touch(tmp_path / "m", "a.png")
    assert matched(images, masks) == {"x/a": ["a.png"]}


def test_a_mask_of_two_images_of_one_name_is_given_to_neither(tmp_path: Path) -> None:
    images, masks = touch(tmp_path / "i", "x/a.png", "y/a.png"), touch(tmp_path / "m", "a.png")
    assert matched(images, masks) == {}


def test_images_without_a_mask_are_named(tmp_path: Path) -> None:
    images = touch(tmp_path / "i", *(f"case{i}.png" for i in range(8)))
    masks = touch(tmp_path / "m", "case0.png")
    _, missing = match_masks(find_images(images), masks)
    with pytest.raises(InputError, match=r"7 images have no mask .* and 2 more.*case1_mask"):
        refuse_missing(missing, masks)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg and a\.png|a\.png and a\.jpg"):
        find_images(tmp_path)


@pytest.mark.parametrize("folder", ["", "missing"])
def test_a_folder_without_images_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        find_images(tmp_path / folder)


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    images = touch(tmp_path / "i", "a.png")
    with pytest.raises(InputError, match="holds no mask"):
        match_masks(find_images(images), tmp_path / "m")


def test_an_image_in_the_masks_folder_is_not_its_own_mask(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "b_mask.png")
    pairs, missing = match_masks(find_images(tmp_path), tmp_path)
    assert [pair.name for pair in pairs] == ["b"]
    assert missing.keys() == {"a"}


def test_a_folder_of_masks_below_the_images_holds_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "masks/a.png")
    names = [image.name for image in find_images(tmp_path, without=tmp_path / "masks")]
    assert names == ["a"]
