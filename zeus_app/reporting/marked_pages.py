"""Tables in Markdown, between two marks of a page that people write."""

from collections.abc import Sequence
from pathlib import Path

from zeus_app.storage.atomic import write_text_atomically


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table. All columns but the first are aligned right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]


def replace_between_marks(page: Path, name: str, text: str) -> None:
    """Put text between `<!-- name: begin -->` and `<!-- name: end -->`. The rest stays.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} has no marks {begin} and {end}")
    write_text_atomically(page, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
