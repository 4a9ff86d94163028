"""One image is chosen for each sequence; every other one is listed with the reason."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.recognition.ranking import Choice, ImageCandidate
from zeus_app.types import Grid, Volume


def no_volume(came: str) -> InputError:
    return InputError(came, expected="a volume", remedy="export it again")


@dataclass(frozen=True)
class Source:
    """An image that is not there: its file and its grid, or why it has none."""

    file: Path
    shape: tuple[int, int, int] = (4, 4, 3)
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 3.0)
    problem: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.file,)

    def grid(self) -> Grid:
        if self.problem:
            raise no_volume(self.problem)
        return Grid(self.shape, np.diag([*self.spacing_mm, 1.0]))

    def load(self) -> Volume:
        raise AssertionError("no voxels are read")


def image(
    name: str,
    *traits: str,
    shape: tuple[int, int, int] = (4, 4, 3),
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 3.0),
    problem: str = "",
    extra: int = 0,
    b_value: float = 0.0,
) -> ImageCandidate:
    source = Source(Path(name), shape, spacing_mm, problem)
    return ImageCandidate(name, source, f"{name} says T1", frozenset(traits), extra, b_value)


def chosen(*candidates: ImageCandidate) -> tuple[str, dict[str, str]]:
    """The chosen file, or "", and the reason for each other one."""
    choice = Choice()
    choice.add("T1", candidates)
    assert choice.sources.keys() == choice.evidence.keys()
    source = choice.sources.get("T1")
    reasons = {unused.files[0].name: unused.reason for unused in choice.unused}
    return (source.files[0].name if source else ""), reasons


def test_one_image_is_taken_as_it_is_even_if_its_header_is_bad() -> None:
    assert chosen(image("a", "projection", problem="broken")) == ("a", {})


def test_no_image_is_no_sequence() -> None:
    assert chosen() == ("", {})


@pytest.mark.parametrize(
    ("trait", "reason"),
    [
        ("projection", "a projection or reformat"),
        ("repeated", "a repetition"),
        ("off-axis", "not axial"),
        ("derived", "derived from another series"),
        ("registered", "registered to another image"),
        ("processed", "processed"),
        ("part", "a part of the body"),
        ("after contrast", "taken after contrast"),
        ("fat-suppressed", "with fat suppression"),
    ],
)
def test_an_image_with_such_a_trait_is_second_choice(trait: str, reason: str) -> None:
    for images in [(image("a", trait), image("b")), (image("b"), image("a", trait))]:
        assert chosen(*images) == ("b", {"a": f"b is used for T1; this one: {reason}"})


def test_the_worst_trait_decides() -> None:
    assert chosen(image("a", "projection"), image("b", "processed", "part", "repeated"))[0] == "b"
    assert chosen(image("a", "fat-suppressed"), image("b", "processed"))[0] == "a"


def test_traits_count_before_the_size() -> None:
    large = image("a", "processed", shape=(400, 400, 300), spacing_mm=(0.5, 0.5, 0.5))
    assert chosen(large, image("b"))[0] == "b"


def test_of_equal_names_the_one_that_says_less_is_taken() -> None:
    assert chosen(image("a", extra=2), image("b", extra=1)) == (
        "b", {"a": "b is used for T1; this one: its name says more than the sequence"},
    )  # fmt: skip


def test_the_highest_b_value_is_taken_and_a_calculated_one_without_number_before_it() -> None:
    name, reasons = chosen(image("a", b_value=800), image("b", b_value=1400))
    assert (name, reasons["a"]) == ("b", "b is used for T1; this one: its b-value is 800 s/mm²")
    assert chosen(image("a", b_value=1400), image("b", b_value=float("inf")))[0] == "b"


def test_of_equal_names_more_slices_are_taken_then_smaller_voxels() -> None:
    more = image("a", shape=(4, 4, 30))
    assert chosen(image("b"), more)[0] == "a"
    fine = image("c", shape=(8, 8, 3), spacing_mm=(0.5, 0.5, 3.0))
    assert chosen(image("b"), fine) == (
        "c", {"b": "c is used for T1; this one: fewer slices, or larger or fewer voxels"},
    )  # fmt: skip


def test_of_isotropic_volumes_the_larger_one_is_taken() -> None:
    isotropic = (1.0, 1.0, 1.0)
    part, whole = (4, 4, 3), (4, 4, 9)
    images = [image("a", shape=part, spacing_mm=isotropic)]
    images.append(image("b", shape=whole, spacing_mm=isotropic))
    assert chosen(*images)[0] == "b"


def test_slices_lie_along_the_largest_spacing() -> None:
    sagittal = image("a", shape=(30, 4, 4), spacing_mm=(3.0, 1.0, 1.0))
    assert chosen(sagittal, image("b", shape=(40, 40, 20)))[0] == "a"


def test_images_that_nothing_tells_apart_are_all_left_out() -> None:
    name, reasons = chosen(image("a"), image("b"), image("c", "processed"))
    assert name == ""
    tie = "several images for T1, and none is better: a, b. Remove one of them, or list the study"
    assert reasons == dict.fromkeys("abc", f"{tie} in cases.yaml")


def test_a_tie_behind_the_best_image_does_not_matter() -> None:
    assert chosen(image("a", extra=1), image("b", extra=1), image("c"))[0] == "c"


def test_of_several_images_those_that_are_no_volume_are_left_out_with_the_reason() -> None:
    name, reasons = chosen(image("a", problem="a is cut off"), image("b", "processed"))
    assert name == "b"
    assert reasons["a"].startswith("a is cut off")
    assert chosen(image("a", problem="x"), image("b", problem="y"))[0] == ""


def test_images_of_one_name_keep_their_own_reasons() -> None:
    choice = Choice()
    broken = ImageCandidate("4 T1", Source(Path("x"), problem="cut off"), "")
    second = ImageCandidate("4 T1", Source(Path("y")), "", frozenset({"processed"}))
    choice.add("T1", [broken, second, ImageCandidate("4 T1", Source(Path("z")), "")])
    assert [(unused.files[0].name, unused.reason) for unused in choice.unused] == [
        ("x", str(no_volume("cut off"))),
        ("y", "4 T1 is used for T1; this one: processed"),
    ]
    assert choice.sources["T1"].files == (Path("z"),)


def test_the_choice_tells_the_evidence_and_keeps_sequences_apart() -> None:
    choice = Choice()
    choice.add("T1", [image("a"), image("b", "part")])
    choice.add("T2", [image("c")])
    choice.leave_out([Path("d")], "shows CT")
    assert choice.evidence == {"T1": "a says T1", "T2": "c says T1"}
    assert [unused.files[0].name for unused in choice.unused] == ["b", "d"]
