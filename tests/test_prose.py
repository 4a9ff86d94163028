"""The documents stay readable: short sentences, a short glossary."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MOST_WORDS_IN_A_SENTENCE = 30
MOST_WORDS_IN_THE_GLOSSARY = 15
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*[-*] |\s*\d+\. |#|\|)")


def sentences(markdown: str) -> Iterator[str]:
    """The sentences of paragraphs, list items and table cells; code counts as one word."""
    prose = re.sub(r"^```.*?^```|<!--.*?-->", "", markdown, flags=re.DOTALL | re.MULTILINE)
    for block in BLOCK.split(prose):
        cells = block.strip("| \n").split("|") if block.startswith("|") else [block]
        for cell in cells:
            text = re.sub(r"`[^`]*`", "code", cell)
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
            yield from re.split(r"(?<=[.!?])[*\")]*\s+", " ".join(text.split()))


def words(sentence: str) -> list[str]:
    return [word for word in sentence.split() if re.search(r"\w", word)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_sentence_is_too_long_for_a_reader_whose_first_language_is_another(
    document: Path,
) -> None:
    texts = sentences(document.read_text(encoding="utf-8"))
    assert [s for s in texts if len(words(s)) > MOST_WORDS_IN_A_SENTENCE] == []


def test_the_glossary_is_short() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    glossary = page.partition("## Glossary")[2].partition("\n## ")[0]
    entries = [line for line in glossary.splitlines() if line.startswith("| **")]
    assert 1 <= len(entries) <= MOST_WORDS_IN_THE_GLOSSARY


def test_a_long_sentence_in_a_list_is_found() -> None:
    long = " ".join(["word"] * 31)
    assert [len(words(s)) for s in sentences(f"Short one.\n- {long}.\n- `a b c` d")] == [2, 31, 2]
