"""All sections of the report, and their text and JSON."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from zeus_app.commands.doctor.packages import fill_packages, fill_zeus
from zeus_app.commands.doctor.places import fill_port, fill_state
from zeus_app.commands.doctor.privacy import Scrubber
from zeus_app.commands.doctor.probe_process import MODULES, Probe, probe
from zeus_app.commands.doctor.sections import Section, filled
from zeus_app.commands.doctor.system import fill_system
from zeus_app.commands.doctor.weights import fill_runtime, fill_weights

INTRODUCTION = "It names no study, patient, user or host, and may be pasted in public."


def examine(*, state: Path | None, port: int, modules: Sequence[str] = MODULES) -> list[Section]:
    """Check everything. Needs no network, starts no server, writes nothing.

    Args:
        state: the state folder of a server with --state; None for the default ones.
        port: TCP port of the server.
        modules: the modules to import.
    """
    found = Probe()

    def import_modules(section: Section) -> None:
        nonlocal found
        found = probe(modules)
        fill_packages(section, found)

    packages = filled("packages", import_modules)  # first, because others need what it found
    sections = [
        filled("system", lambda section: fill_system(section, found)),
        filled("Zeus", fill_zeus),
        packages,
        filled("weights", fill_weights),
        filled("encoder runtime", lambda section: fill_runtime(section, found)),
        filled("state and disk", partial(fill_state, state=state)),
        filled("port", partial(fill_port, port=port)),
    ]
    return [_scrubbed(section, _scrubber(state)) for section in sections]


def _scrubber(state: Path | None) -> Scrubber:
    import os

    weights = os.environ.get("ZEUS_WEIGHTS")
    folders = [("<weights>", Path(weights).expanduser())] if weights else []
    return Scrubber([*folders, *([("<state>", state)] if state else [])])


def _scrubbed(section: Section, scrub: Scrubber) -> Section:
    clean = Section(section.title, {key: scrub(text) for key, text in section.facts.items()})
    for problem in section.problems:
        clean.problem(scrub(problem.what), scrub(problem.remedy))
    return clean


def problems_of(sections: Sequence[Section]) -> int:
    """The number of problems."""
    return sum(len(section.problems) for section in sections)


def as_text(sections: Sequence[Section]) -> str:
    """The report as plain text of short lines."""
    lines = [f"zeus doctor. {INTRODUCTION}"]
    for section in sections:
        width = max((len(name) for name in section.facts), default=0)
        lines += ["", section.title]
        lines += [f"  {name:<{width}}  {value}" for name, value in section.facts.items()]
    problems = [(each.title, problem) for each in sections for problem in each.problems]
    lines.append("")
    for number, (title, problem) in enumerate(problems, start=1):
        lines += [f"problem {number}, {title}: {problem.what}", f"  what to do: {problem.remedy}"]
    lines.append(f"{len(problems)} problems" if problems else "no problems found")
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> str:
    """The report as JSON: sections with facts and problems, and the number of problems."""
    content = {
        "sections": [
            {
                "title": section.title,
                "facts": section.facts,
                "problems": [
                    {"what": problem.what, "remedy": problem.remedy} for problem in section.problems
                ],
            }
            for section in sections
        ],
        "problems": problems_of(sections),
    }
    return json.dumps(content, indent=1)
