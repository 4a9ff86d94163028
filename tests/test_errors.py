import pytest

from zeus_app.errors import CancelledError, InputError, UnknownNameError


def test_an_input_error_says_what_came_what_was_expected_and_what_to_do() -> None:
    error = InputError("a 2-D image", expected="a 3-D image", remedy="stack the slices")
    assert str(error) == "a 2-D image. Expected: a 3-D image. What to do: stack the slices."


def test_an_input_error_keeps_its_parts_for_rendering() -> None:
    error = InputError("x", expected="y", remedy="z")
    assert (error.came, error.expected, error.remedy) == ("x", "y", "z")


def test_bad_input_is_a_400_over_http() -> None:
    assert InputError("x", expected="y", remedy="z").status == 400


def test_an_unknown_name_is_a_404_over_http() -> None:
    assert UnknownNameError("x", expected="y", remedy="z").status == 404


def test_an_unknown_name_is_an_input_error() -> None:
    with pytest.raises(InputError):
        raise UnknownNameError("x", expected="y", remedy="z")


def test_a_cancellation_is_nobody_s_bad_input() -> None:
    assert not issubclass(CancelledError, InputError)
