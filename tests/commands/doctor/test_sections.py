"""A check that fails is a finding."""

from zeus_app.commands.doctor.sections import Section, described, filled


def test_a_check_that_fails_is_a_problem_and_keeps_the_facts_before_it() -> None:
    def fill(section: Section) -> None:
        section.facts["a"] = "1"
        raise ModuleNotFoundError("No module named 'yaml'")

    section = filled("weights", fill)
    assert section.facts == {"a": "1"}
    assert section.problems[0].what == (
        "weights could not be checked: ModuleNotFoundError: No module named 'yaml'"
    )
    assert "make setup" in section.problems[0].remedy


def test_an_error_is_described_in_one_short_line() -> None:
    assert described(ValueError("a\n  b")) == "ValueError: a b"
    assert described(KeyError()) == "KeyError"
    assert len(described(ValueError("x" * 1000))) == 300
