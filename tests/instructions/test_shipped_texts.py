"""The texts that ship with Zeus are the model's own, and none outlives its model or question."""

import json
from pathlib import Path

import pytest

from benchmarks.shipped_texts import PRECISIONS, prompts
from zeus_app.instructions.generate import text_key
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.shipped_texts import TEXTS_FILE, read_texts_file, shipped_texts
from zeus_app.profiles import load_profile
from zeus_app.settings.config import ZeusConfig
from zeus_app.weights import WEIGHTS, locate

LLM = load_profile("reference-small").llm
LONGEST = ZeusConfig().instruction_tokens


def id_of(precision: str) -> str:
    """The LLM's id, from the registry of weights, without its file."""
    file = WEIGHTS[LLM.weights].files[0]
    assert file.sha256
    return f"{Path(file.name).stem}-{file.sha256[:12]}-{LLM.prompt_style}-{precision}"


def test_every_label_in_every_sequence_of_a_shipped_target_has_a_text_in_each_precision() -> None:
    texts = shipped_texts()
    wanted = {text_key(id_of(p), "", LONGEST, prompt) for p in PRECISIONS for prompt in prompts()}
    assert set(texts) == wanted
    assert all(texts.values())
    assert len(prompts()) == 45


def test_every_text_lies_under_the_key_of_what_it_depends_on() -> None:
    entries = read_texts_file()
    assert {key for key, entry in entries.items() if key != entry.key} == set()


@pytest.mark.parametrize(
    "change", [{"model": "other-chat-float32"}, {"max_tokens": 65}, {"prompt": "other"}]
)
def test_a_text_whose_model_question_or_length_was_changed_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    content = json.loads(TEXTS_FILE.read_text())
    key = next(iter(content))
    content[key] |= change
    changed = tmp_path / "texts.json"
    changed.write_text(json.dumps(content))
    entries = read_texts_file(changed)
    monkeypatch.setattr("zeus_app.instructions.shipped_texts.read_texts_file", lambda: entries)
    shipped_texts.cache_clear()
    try:
        assert set(content) - set(shipped_texts()) == {key}
    finally:
        shipped_texts.cache_clear()


def test_the_model_writes_a_shipped_text_again_word_for_word() -> None:
    llm = FrozenLlm(locate(LLM.weights), precision="float32", prompt_style=LLM.prompt_style)
    assert llm.id == id_of("float32")
    prompt = prompts()[0]
    (again,) = llm.generate(None, [prompt], max_tokens=LONGEST)
    assert again == shipped_texts()[text_key(llm.id, "", LONGEST, prompt)]
