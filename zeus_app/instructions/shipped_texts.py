"""The texts that ship with Zeus: what the default LLM writes about the shipped targets.

    python -m benchmarks.shipped_texts     writes shipped_texts.json again

They are the texts of scope "target", in which the LLM sees no picture. So a text depends on the
model, its precision and prompt style, the longest length and the question alone. Each lies under
the key that the cache gives it, a hash of all of these. A model, question or setting that changes
has other keys, and its texts are generated.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from zeus_app.instructions.generate import text_key

TEXTS_FILE = Path(str(files(__package__))) / "shipped_texts.json"


class ShippedText(BaseModel):
    """One text, with what it depends on.

    Attributes:
        model: id of the LLM that wrote it; names weights, prompt style and precision.
        max_tokens: longest text, in tokens.
        prompt: the question.
        text: the answer. It is machine-made, not for diagnosis.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    max_tokens: int
    prompt: str
    text: str

    @property
    def key(self) -> str:
        """The key in the cache."""
        return text_key(self.model, "", self.max_tokens, self.prompt)


def read_texts_file(path: Path = TEXTS_FILE) -> dict[str, ShippedText]:
    """Key -> text, as the file says. Raises ValueError if it is damaged."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {key: ShippedText.model_validate(entry) for key, entry in content.items()}


@cache
def shipped_texts() -> Mapping[str, str]:
    """Key -> text, for the texts whose key is that of their content."""
    return {key: entry.text for key, entry in read_texts_file().items() if key == entry.key}
