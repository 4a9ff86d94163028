"""What commands show on the terminal."""

import pytest

from zeus_app.commands.terminal import print_by_reason


def test_names_with_one_reason_share_a_row_and_many_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reasons = {**{f"p{number}": "no mask" for number in range(12)}, "q": "damaged [/x]"}
    print_by_reason("left out", ["study", "reason"], reasons)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [" ".join(line.split()) for line in lines] == [
        "│ p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 2 more │ no mask │",
        "│ q │ damaged [/x] │",
    ]


def test_without_names_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_by_reason("left out", ["study", "reason"], {})
    assert capsys.readouterr().out == ""
