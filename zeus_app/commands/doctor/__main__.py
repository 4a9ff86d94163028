"""`python -m zeus_app.commands.doctor`: the same report without the command line's package."""

import sys

from zeus_app.commands.doctor.report import as_json, as_text, examine, problems_of


def main(arguments: list[str]) -> int:
    """Print the report; `--json` prints JSON. Returns 1 if there are problems, else 0."""
    sections = examine(state=None, port=8000)
    text = as_json(sections) if "--json" in arguments else as_text(sections)
    sys.stdout.write(f"{text}\n")
    return int(bool(problems_of(sections)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
