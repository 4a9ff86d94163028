"""Write the texts that ship with Zeus: one for each label and sequence of the shipped targets.

    python -m benchmarks.shipped_texts

The default profile's LLM writes them in each precision that a machine may choose. The texts of
version 0.3.0 were made on a CPU. Result: zeus_app/instructions/shipped_texts.json.
"""

import json
from collections.abc import Sequence
from typing import Literal

from rich.console import Console

from zeus_app.instructions.generate import BATCH
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.shipped_texts import TEXTS_FILE, ShippedText
from zeus_app.instructions.templates import paper_prompt
from zeus_app.profiles import load_profile
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.targets import load_target, shipped_targets
from zeus_app.weights import locate

Precision = Literal["bfloat16", "float32"]
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
"""What the precision "auto" can become; see `instructions/precision.py`."""


def prompts() -> list[str]:
    """The questions about all labels and sequences of the shipped targets, each once."""
    targets = [load_target(name) for name in shipped_targets()]
    asked = [
        paper_prompt(label.prompt_name, sequence.prompt_name)
        for target in targets
        for label in target.labels
        for sequence in target.sequences
    ]
    return list(dict.fromkeys(asked))


def write_texts(precision: Precision, questions: Sequence[str]) -> list[ShippedText]:
    """The default LLM's answers, without a picture."""
    config = ZeusConfig()
    tower = load_profile(config.profile).llm
    llm = FrozenLlm(locate(tower.weights), precision=precision, prompt_style=tower.prompt_style)
    longest = config.instruction_tokens
    texts: list[str] = []
    for start in range(0, len(questions), BATCH):
        texts += llm.generate(None, questions[start : start + BATCH], max_tokens=longest)
    return [
        ShippedText(model=llm.id, max_tokens=longest, prompt=prompt, text=text)
        for prompt, text in zip(questions, texts, strict=True)
    ]


def main() -> None:
    """Write the file."""
    console, questions = Console(highlight=False), prompts()
    entries = []
    for precision in PRECISIONS:
        entries += write_texts(precision, questions)
        console.print(f"{precision}: {len(questions)} texts")
    content = {entry.key: entry.model_dump() for entry in entries}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_text_atomically(TEXTS_FILE, text + "\n")


if __name__ == "__main__":
    main()
