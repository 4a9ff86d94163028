"""The vocabulary of names: what each word says about an image. The words are in vocabulary.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

Meaning = tuple[str, str]
"""(facet, value), such as ("weighting", "T1") or ("contrast", "after")."""

_FOLDER = "folder"  # its words say something about a folder, and other things about an image


class Entry(BaseModel):
    """The words for one value of a facet, and where they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    words: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words and phrases with their meanings.

    Attributes:
        phrases: a word, or words with single spaces between -> its meaning.
        containers: names of folders that hold images of the study above them.
    """

    phrases: Mapping[str, Meaning]
    containers: frozenset[str] = field(default=frozenset())

    @cached_property
    def by_words(self) -> dict[tuple[str, ...], Meaning]:
        """The words of a phrase -> its meaning."""
        return {tuple(phrase.split()): meaning for phrase, meaning in self.phrases.items()}

    @cached_property
    def by_letters(self) -> dict[str, Meaning]:
        """A phrase written as one word -> its meaning. A single word has precedence."""
        words = sorted(self.phrases, key=lambda phrase: " " not in phrase)
        return {phrase.replace(" ", ""): self.phrases[phrase] for phrase in words}

    @cached_property
    def longest(self) -> int:
        """Number of words of the longest phrase."""
        return max(map(len, self.by_words))

    def with_phrases(self, phrases: Mapping[str, Meaning]) -> "Vocabulary":
        """This vocabulary and more phrases. Those that it has get the new meanings."""
        return Vocabulary({**self.phrases, **phrases}, self.containers)


@cache
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary in vocabulary.yaml.

    Raises:
        ValueError: a word has two meanings.
    """
    text = files(__package__).joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    # BaseLoader keeps every scalar a text: `no` and `on` are words here.
    content = yaml.load(text, Loader=yaml.BaseLoader)
    facets = TypeAdapter(dict[str, dict[str, Entry]]).validate_python(content)
    containers = {word for entry in facets.pop(_FOLDER).values() for word in entry.words}
    phrases: dict[str, Meaning] = {}
    for facet, values in facets.items():
        for value, entry in values.items():
            for word in entry.words:
                if phrases.setdefault(word, (facet, value)) != (facet, value):
                    raise ValueError(f"{word!r} is {phrases[word]} and {(facet, value)}")
    return Vocabulary(phrases, frozenset(containers))
