"""A vision-language chat model that looks at the slice itself and writes the instruction.

No trainable projection stands between picture and text here: the model has its own, so nothing of
Zeus learns from these texts but what reads them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.devices import halving
from zeus_app.errors import InputError
from zeus_app.instructions.loading import folder_of, load_frozen, meta_model, name_and_hash
from zeus_app.instructions.pictures import as_image
from zeus_app.instructions.precision import Precision, load_options, resolve
from zeus_app.instructions.templates import (
    IMAGE,
    ChatTemplate,
    Messages,
    PromptStyle,
    without_thinking,
)
from zeus_app.progress import Pause, no_pause
from zeus_app.types import FloatArray


class QuestionAnswer(PromptStyle):
    """BLIP-2's form for questions (Li et al. 2023, section 4.1); its processor adds the image."""

    image = ""
    joint = ""

    def render(self, turn: str) -> str:
        """Question and answer in one line."""
        return f"Question: {turn} Answer:"


class VisionChat:
    """An image-text-to-text model of transformers: MedGemma, LLaVA, Qwen-VL, BLIP-2.

    Attributes:
        id: names the weights and the precision.
    """

    sees_pictures = True

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
    ) -> None:
        """Load the model and its processor.

        Args:
            weights: a folder as transformers saves a model, processor included, or a file in it.
            device: where it runs.
            precision: as of `FrozenLlm`.

        Raises:
            InputError: the folder holds no such model, or the model has no chat template.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._device = torch.device(device)
        self._processor, self._model = load_frozen(
            folder_of(weights),
            AutoProcessor,
            AutoModelForImageTextToText,
            load_options(precision, self._device),
            kind="vision-language chat model",
        )
        self._tokenizer: Any = self._processor.tokenizer
        self._tokenizer.padding_side = "left"  # so that answers begin right after their prompts
        self._tokenizer.pad_token = self._tokenizer.pad_token or self._tokenizer.eos_token
        # What only sampling reads would be warned about at every call.
        for name in ("temperature", "top_p", "top_k"):
            setattr(self._model.generation_config, name, None)
        self._style = self._make_style()
        self.id = self.id_of(weights, device=device, precision=precision)

    @staticmethod
    def id_of(
        weights: Path, *, device: torch.device | str = "cpu", precision: Precision = "auto"
    ) -> str:
        """The id of a model with these settings, without loading it."""
        return f"{name_and_hash(weights)}-vision-{resolve(precision, torch.device(device))}"

    @torch.inference_mode()
    def write(
        self,
        pictures: FloatArray,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Answer N prompts, each about its own picture, greedily.

        Args:
            pictures: (N, H, W) float32 in [0, 1].
            prompts: N questions.
            max_tokens: longest answer.
            pause: called after each token.

        Returns:
            N texts, without thoughts and white space at their ends.

        Raises:
            InputError: another number of pictures, or the device's memory does not hold one.
        """
        if len(pictures) != len(prompts):
            raise InputError(
                f"{len(pictures)} pictures, and {len(prompts)} prompts",
                expected="one picture for each prompt",
                remedy="pass as many of the one as of the other",
            )

        def some(rows: Sequence[int]) -> list[str]:
            chosen = [prompts[i] for i in rows]
            return self._write(pictures[list(rows)], chosen, max_tokens=max_tokens, pause=pause)

        return halving(some, range(len(prompts)))

    def _write(
        self, pictures: FloatArray, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        texts = [self._style.render(self._style.image + prompt) for prompt in prompts]
        bos = self._tokenizer.bos_token
        inputs = self._processor(
            images=[[as_image(picture).convert("RGB")] for picture in pictures],
            text=texts,
            padding=True,
            return_tensors="pt",
            # A chat template may have written the token already; then it is not put first again.
            add_special_tokens=not (bos and texts[0].startswith(bos)),
        ).to(self._device, self._model.dtype)

        def go_on(tokens: torch.Tensor, scores: object, **more: object) -> torch.Tensor:
            """A criterion of transformers' that never stops an answer, asked after each token."""
            pause()
            return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)

        out = self._model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_tokens,
            stopping_criteria=[go_on],
        )
        prompt_tokens = inputs["input_ids"].shape[1] if self._repeats_prompt() else 0
        answers = self._tokenizer.batch_decode(out[:, prompt_tokens:], skip_special_tokens=True)
        return [without_thinking(answer).strip() for answer in answers]

    def _repeats_prompt(self) -> bool:
        """Whether what is generated begins with the prompt: not where an encoder reads that."""
        return not self._model.config.get_text_config(decoder=True).is_encoder_decoder

    def _make_style(self) -> PromptStyle:
        if self._model.config.model_type == "blip-2":
            return QuestionAnswer()
        if not (getattr(self._processor, "chat_template", None) or self._tokenizer.chat_template):
            raise InputError(
                f"a {self._model.config.model_type} model without a chat template",
                expected="chat_template.jinja, or chat_template in tokenizer_config.json",
                remedy="take a checkpoint that was tuned for chat",
            )
        return ChatTemplate(self._render)

    def _render(self, messages: Messages) -> str:
        parts = [{"role": m["role"], "content": _parts(m["content"])} for m in messages]
        text: str = self._processor.apply_chat_template(
            parts, tokenize=False, add_generation_prompt=True
        )
        return text


def _parts(content: str) -> list[dict[str, str]]:
    """A message in the form that templates of vision-language models read."""
    before, image, after = content.partition(IMAGE)
    parts = [{"type": "text", "text": before}] if before else []
    parts += [{"type": "image"}] if image else []
    return parts + ([{"type": "text", "text": after}] if after else [])


def skeleton(architecture: Mapping[str, Any]) -> nn.Module:
    """The model on torch's meta device, without its numbers, to count parameters.

    Args:
        architecture: what a config.json of transformers says; `model_type` is required.
    """
    from transformers import AutoModelForImageTextToText

    return meta_model(architecture, AutoModelForImageTextToText)
