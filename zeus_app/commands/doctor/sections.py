"""What a check finds: facts, and problems with their remedies."""

from collections.abc import Callable
from dataclasses import dataclass, field

REPAIR = "run `make setup`, which repairs what is missing or changed"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: what is wrong, in one sentence without a full stop.
        remedy: what to do.
    """

    what: str
    remedy: str


@dataclass
class Section:
    """One part of the report.

    Attributes:
        title: its name.
        facts: name -> value, in the order of the report.
        problems: what is wrong.
    """

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, what: str, remedy: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(what, remedy))

    def fact(self, name: str, read: Callable[[], str]) -> None:
        """Add a fact. One that cannot be read is shown as such; the others remain."""
        try:
            self.facts[name] = read()
        except Exception as error:  # of any kind, because the installation may be broken
            self.facts[name] = f"unknown ({described(error)})"


def filled(title: str, fill: Callable[[Section], None]) -> Section:
    """A section; a check that fails in an unforeseen way is a problem of its section."""
    section = Section(title)
    try:
        fill(section)
    except Exception as error:  # of any kind, because the installation may be broken
        section.problem(f"{title} could not be checked: {described(error)}", REPAIR)
    return section


def described(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
