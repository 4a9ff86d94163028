"""The vocabulary of names: what each word says about an image. The words are in vocabulary.yaml."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from zeus_app.recognition.text import is_caseless, plain

Meaning = tuple[str, str]
"""(facet, value), such as ("weighting", "T1") or ("contrast", "after")."""

UNKNOWN: Meaning = ("", "")
"""The meaning of a word that is not in the vocabulary."""

_FOLDER, _CONTEXT = "folder", "context"  # their words have other meanings in names of images
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_STEM = "-"
_SHORTEST_STEMMED = 6  # letters of a word that is known by its stem
_SHORTEST_JOINED = 4  # letters of a phrase that may be written as one word


class Entry(BaseModel):
    """The words for one value of a facet, and where they come from.

    Attributes:
        source: who uses these words.
        words: words, phrases and stems; or lists of them by language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    words: tuple[str, ...] | dict[str, tuple[str, ...]]

    @property
    def all_words(self) -> Iterator[str]:
        """The words of all languages, as names are compared."""
        groups = self.words.values() if isinstance(self.words, dict) else [self.words]
        for group in groups:
            yield from map(plain, group)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words and phrases with their meanings.

    Two vocabularies are equal only if they are the same object, so what is read with one can be
    kept with it.

    Attributes:
        phrases: a word, words with single spaces between, or a stem that ends with a dash ->
            its meaning.
        containers: names of folders that hold images of the study above them.
        may_be_names: words that may also be a patient's name or initials.
        settings: words that are settings between a weighting and the end of a name.
    """

    phrases: Mapping[str, Meaning]
    containers: frozenset[str] = field(default=frozenset())
    may_be_names: frozenset[str] = field(default=frozenset())
    settings: frozenset[str] = field(default=frozenset())

    @cached_property
    def by_words(self) -> dict[tuple[str, ...], Meaning]:
        """The words of a phrase -> its meaning."""
        return {tuple(text.split()): meaning for text, meaning in self._whole.items()}

    @cached_property
    def by_letters(self) -> dict[str, Meaning]:
        """A word, or a phrase written as one word -> its meaning. A word has precedence."""
        joined = {
            letters: meaning
            for text, meaning in self._whole.items()
            if len(letters := text.replace(" ", "")) >= _SHORTEST_JOINED
        }
        return joined | {text: m for text, m in self._whole.items() if " " not in text}

    @cached_property
    def longest_from(self) -> dict[str, int]:
        """The first word of phrases -> number of words of the longest of them."""
        found: dict[str, int] = {}
        for words in self.by_words:
            found[words[0]] = max(len(words), found.get(words[0], 0))
        return found

    @cached_property
    def _whole(self) -> dict[str, Meaning]:
        return {text: m for text, m in self.phrases.items() if not _is_stem(text)}

    @cached_property
    def _stems(self) -> dict[str, Meaning]:
        return {text.rstrip(_STEM): m for text, m in self.phrases.items() if _is_stem(text)}

    def meaning(self, word: str) -> Meaning:
        """What a word means, by itself or by its longest stem; `UNKNOWN` if it is neither.

        Args:
            word: letters and digits, as `plain` gives them.
        """
        if word in self.by_letters:
            return self.by_letters[word]
        if len(word) < _SHORTEST_STEMMED and not is_caseless(word):
            return UNKNOWN
        starts = (word[:end] for end in range(len(word), 0, -1))
        return next((self._stems[start] for start in starts if start in self._stems), UNKNOWN)

    def with_phrases(self, phrases: Mapping[str, Meaning]) -> "Vocabulary":
        """This vocabulary and more phrases. Those that it has get the new meanings.

        An empty phrase, as an alias of signs alone gives, is left out.
        """
        both = {**self.phrases, **{text: m for text, m in phrases.items() if text}}
        return Vocabulary(both, self.containers, self.may_be_names, self.settings)


def _is_stem(text: str) -> bool:
    return text.endswith(_STEM) and text[-2:-1].isalpha()


@cache
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary in vocabulary.yaml.

    Raises:
        ValueError: a word has two meanings.
    """
    return parse(files(__package__).joinpath("vocabulary.yaml").read_text(encoding="utf-8"))


def parse(text: str) -> Vocabulary:
    """A vocabulary from YAML.

    Raises:
        ValueError: a word is there twice, or the text has another form.
    """
    # Its scalars are all texts: `no` and `on` are words here. libyaml reads ten times as fast.
    content = yaml.load(text, Loader=_LOADER)
    facets = TypeAdapter(dict[str, dict[str, Entry]]).validate_python(content)
    folders, context = facets.pop(_FOLDER, {}), facets.pop(_CONTEXT, {})
    phrases: dict[str, Meaning] = {}
    for facet, values in facets.items():
        for value, entry in values.items():
            for word in entry.all_words:
                if word in phrases:
                    raise ValueError(f"{word!r} is {phrases[word]} and {(facet, value)}")
                phrases[word] = (facet, value)
    return Vocabulary(
        phrases,
        containers=_words(folders, "container"),
        may_be_names=_words(context, "names"),
        settings=_words(context, "inside"),
    )


def _words(values: Mapping[str, Entry], value: str) -> frozenset[str]:
    return frozenset(values[value].all_words) if value in values else frozenset()
