"""The vocabulary is consistent, and each of its words can occur in a name."""

import re
from importlib.resources import files

import pytest
import yaml

from zeus_app.recognition.text import plain
from zeus_app.recognition.vocabulary import UNKNOWN, parse, shipped_vocabulary
from zeus_app.recognition.weighting import NEITHER, SEQUENCES
from zeus_app.recognition.words import split_words

LONGEST_LINE = 120
TEXT = files("zeus_app.recognition").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
SMALL = """
weighting:
  T1: {source: test, words: [t1, dark fluid, nu-]}
contrast:
  after: {source: test, words: {german: [nach, Spät], english: [post]}}
context:
  names: {source: test, words: [nach]}
  inside: {source: test, words: [fa]}
folder:
  container: {source: test, words: [anat]}
"""


def test_each_word_is_found_in_a_name() -> None:
    vocabulary = shipped_vocabulary()
    lost = []
    for text, meaning in vocabulary.phrases.items():
        is_stem = text.endswith("-") and " " not in text
        name = text.replace("-", "xxxxx") if is_stem else text.replace(" -", "-")
        if [word.meaning for word in split_words(name, vocabulary)] != [meaning]:
            lost.append(text)
    assert lost == []


def test_the_words_that_count_in_some_places_have_meanings() -> None:
    vocabulary = shipped_vocabulary()
    assert {word for word in vocabulary.settings if vocabulary.meaning(word) == UNKNOWN} == set()
    unknown = {word for word in vocabulary.may_be_names if vocabulary.meaning(word) == UNKNOWN}
    assert unknown == set()


def test_no_weighting_stands_for_itself_alone() -> None:
    values = {
        value for facet, value in shipped_vocabulary().phrases.values() if facet == "weighting"
    }
    assert values <= SEQUENCES | set(NEITHER)


def test_lists_are_sorted_and_lines_are_short() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > LONGEST_LINE] == []
    unsorted = []
    for flow in re.findall(r"\[([^\]]*)\]", re.sub(r"^ *#.*$", "", TEXT, flags=re.MULTILINE)):
        words = [word.strip().strip('"') for word in flow.split(",")]
        if words != sorted(words):
            unsorted.append(words[:3])
    assert unsorted == []


def test_every_list_names_its_source() -> None:
    content = yaml.load(TEXT, Loader=yaml.BaseLoader)
    known = {"bids", "vendors", "data sets", "dicom", "language", "programs", "lists of surnames"}
    sources = {
        (facet, value): entry["source"]
        for facet, values in content.items()
        for value, entry in values.items()
    }
    assert [key for key, text in sources.items() if not any(k in text for k in known)] == []


def test_every_facet_is_explained() -> None:
    head = TEXT.partition("\nweighting:")[0]
    facets = yaml.load(TEXT, Loader=yaml.BaseLoader)
    assert [facet for facet in facets if not re.search(rf"\b{facet}\b", head)] == []


def test_words_come_with_their_facet_and_value() -> None:
    vocabulary = parse(SMALL)
    assert vocabulary.meaning("t1") == ("weighting", "T1")
    assert vocabulary.meaning("spat") == ("contrast", "after")
    assert vocabulary.meaning("darkfluid") == ("weighting", "T1")
    assert vocabulary.by_words["dark", "fluid"] == ("weighting", "T1")
    assert vocabulary.longest_from["dark"] == 2
    assert vocabulary.may_be_names == {"nach"}
    assert vocabulary.settings == {"fa"}
    assert vocabulary.containers == {"anat"}


@pytest.mark.parametrize(
    ("word", "is_known"),
    [("nuclear", True), ("nuts", False), ("nu", False), ("nuances", True), ("menuet", False)],
)
def test_a_stem_stands_for_long_words_that_start_with_it(word: str, is_known: bool) -> None:
    assert (parse(SMALL).meaning(word) != UNKNOWN) is is_known


def test_a_stem_of_chinese_stands_for_short_words_too() -> None:
    vocabulary = shipped_vocabulary()
    assert vocabulary.meaning("增强后期") == ("contrast", "given")
    assert vocabulary.meaning("增强前") == ("contrast", "native")


def test_the_longest_stem_counts() -> None:
    vocabulary = shipped_vocabulary()
    assert vocabulary.meaning("kontrastmittel") == ("contrast", "given")
    assert vocabulary.meaning("bezkontrastowe") == ("contrast", "native")
    assert vocabulary.meaning("subtrmeandivstd") == ("processing", "processed")
    assert vocabulary.meaning("subtraktion") == ("weighting", "subtraction")


def test_a_word_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="'nach' is"):
        parse(SMALL.replace("[post]", "[nach]"))


@pytest.mark.parametrize("change", ["source: test, ", "test, words: [t1, dark fluid, nu-]"])
def test_another_form_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parse(SMALL.replace(change, "test" if "words" in change else ""))


def test_a_target_may_give_a_word_another_meaning() -> None:
    vocabulary = shipped_vocabulary()
    own = vocabulary.with_phrases({"t1": ("target", "mine"), "hyce": ("target", "mine")})
    assert own.meaning("t1") == own.meaning("hyce") == ("target", "mine")
    assert vocabulary.meaning("t1") == ("weighting", "T1")
    assert own.may_be_names == vocabulary.may_be_names
    assert own.settings == vocabulary.settings
    assert own.containers == vocabulary.containers


def test_the_words_are_read_once() -> None:
    assert shipped_vocabulary() is shipped_vocabulary()
    assert all(plain(word) == word for word in shipped_vocabulary().phrases)
