"""Nearly whole values are rounded alike everywhere; a message shows the value itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from zeus_app.errors import InputError
from zeus_app.labels.values import listed, with_whole_values
from zeus_app.types import Volume


def whole(*values: float, dtype: type = np.float32) -> npt.NDArray[np.number[Any]]:
    array: npt.NDArray[Any] = np.array(values, dtype).reshape(1, -1, 1)
    return with_whole_values(Volume(array, np.eye(4)), "mask.nii.gz").array.ravel()


@pytest.mark.parametrize("value", [0.9999, 0.9999999, 1.0001, 0.99, 1.01])
def test_a_value_within_a_hundredth_of_a_whole_number_is_that_number(value: float) -> None:
    assert whole(0, value, 2).tolist() == [0, 1, 2]


def test_whole_numbers_stay_as_they_are_and_so_does_the_volume_that_came() -> None:
    stored = np.array([0.9999, 3]).reshape(1, 2, 1)
    with_whole_values(Volume(stored, np.eye(4)), "mask.nii.gz")
    assert stored.ravel().tolist() == [0.9999, 3]
    assert whole(-1, 300, dtype=np.int32).tolist() == [-1, 300]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.98, "0.98"), (0.5, "0.5"), (1.0101, "1.0101"), (np.nan, "nan"), (np.inf, "inf")],
)
def test_other_values_are_refused_and_shown(value: float, shown: str) -> None:
    with pytest.raises(InputError, match=rf"mask.nii.gz: values .*whole numbers: {shown}\. "):
        whole(0, value, 1)


def test_probabilities_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"and 89 more.*threshold of 0\.5"):
        whole(*np.linspace(0.011, 0.989, 99))


def test_no_value_is_shown_as_the_whole_number_that_it_misses() -> None:
    assert listed(np.array([0.9999999, 1.0, 7], np.float32)) == "0.9999999, 1, 7"
