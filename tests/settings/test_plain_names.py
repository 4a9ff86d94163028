"""Names that become folders lead nowhere else."""

import pytest

from zeus_app.settings.plain_names import check_plain


@pytest.mark.parametrize("name", ["knee", "T2-SPIR", "T1+C (late)", "Läsion 2", "1", "k" * 64])
def test_a_plain_name_is_returned(name: str) -> None:
    assert check_plain(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "../x", "/x", "a/b", "a\\b", "a\nb", "a\0b", " a", "a ", "k" * 65]
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="for example knee_2"):
        check_plain(name)
