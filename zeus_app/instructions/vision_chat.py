"""A vision-language chat model that sees the slice itself and generates the instruction.

The model has its own frozen projection, so f_vt of Zeus is not used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.devices import split_when_out_of_memory
from zeus_app.errors import InputError
from zeus_app.instructions.loading import folder_of, load_frozen, meta_model, name_and_hash
from zeus_app.instructions.pausing import pause_between_tokens
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
    """BLIP-2's question form (Li et al. 2023, section 4.1). Its processor adds the image."""

    image = ""
    joint = ""

    def render(self, turn: str) -> str:
        """Return "Question: ... Answer:"."""
        return f"Question: {turn} Answer:"


class VisionChat:
    """An image-text-to-text model of transformers: MedGemma, LLaVA, Qwen-VL, BLIP-2.

    Attributes:
        id: names the weights and the precision.
        model, tokenizer: the frozen network and the tokenizer of transformers.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
    ) -> None:
        """Load the model and its processor.

        Args:
            weights: a folder as transformers saves a model, with its processor; or a file in it.
            device: device of the model.
            precision: as for `FrozenLlm`.

        Raises:
            InputError: the folder holds no such model, or the model has no chat template.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._device = torch.device(device)
        self._processor, self.model = load_frozen(
            folder_of(weights),
            AutoProcessor,
            AutoModelForImageTextToText,
            load_options(precision, self._device),
            kind="vision-language chat model",
        )
        self.tokenizer: Any = self._processor.tokenizer
        self.tokenizer.padding_side = "left"  # so that each answer follows its prompt
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        # Greedy decoding ignores these, and transformers would warn at every call.
        for name in ("temperature", "top_p", "top_k"):
            setattr(self.model.generation_config, name, None)
        self._style = self._make_style()
        self.id = self.id_of(weights, device=device, precision=precision)

    @staticmethod
    def id_of(
        weights: Path, *, device: torch.device | str = "cpu", precision: Precision = "auto"
    ) -> str:
        """The id of a model with these settings, without loading it."""
        return f"{name_and_hash(weights)}-vision-{resolve(precision, torch.device(device))}"

    @torch.inference_mode()
    def generate(
        self,
        pictures: FloatArray,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Generate N answers greedily, each about its own picture.

        Args:
            pictures: (N, H, W) float32 in [0, 1].
            prompts: N questions.
            max_tokens: longest answer, in tokens.
            pause: called after each token.

        Returns:
            N texts, stripped, without `<think>` parts.

        Raises:
            InputError: the number of pictures differs from N, or one picture does not fit into
                the device's memory.
        """
        if len(pictures) != len(prompts):
            raise InputError(
                f"{len(pictures)} pictures, and {len(prompts)} prompts",
                expected="one picture for each prompt",
                remedy=f"pass {len(prompts)} pictures",
            )

        def generate(rows: Sequence[int]) -> list[str]:
            questions = [prompts[i] for i in rows]
            return self._generate(
                pictures[list(rows)], questions, max_tokens=max_tokens, pause=pause
            )

        return split_when_out_of_memory(generate, range(len(prompts)))

    def _generate(
        self, pictures: FloatArray, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        texts = [self._style.render(self._style.image + prompt) for prompt in prompts]
        bos = self.tokenizer.bos_token
        inputs = self._processor(
            images=[[as_image(picture).convert("RGB")] for picture in pictures],
            text=texts,
            padding=True,
            return_tensors="pt",
            # Some chat templates write this token themselves. It must not come twice.
            add_special_tokens=not (bos and texts[0].startswith(bos)),
        ).to(self._device, self.model.dtype)

        out = self.model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_tokens,
            stopping_criteria=[pause_between_tokens(pause)],
        )
        prompt_tokens = inputs["input_ids"].shape[1] if self._repeats_prompt() else 0
        answers = self.tokenizer.batch_decode(out[:, prompt_tokens:], skip_special_tokens=True)
        return [without_thinking(answer).strip() for answer in answers]

    def _repeats_prompt(self) -> bool:
        """Whether the output begins with the prompt. It does not if an encoder reads the prompt."""
        return not self.model.config.get_text_config(decoder=True).is_encoder_decoder

    def _make_style(self) -> PromptStyle:
        if self.model.config.model_type == "blip-2":
            return QuestionAnswer()
        if not (getattr(self._processor, "chat_template", None) or self.tokenizer.chat_template):
            raise InputError(
                f"a {self.model.config.model_type} model without a chat template",
                expected="chat_template.jinja, or chat_template in tokenizer_config.json",
                remedy="choose a checkpoint that was tuned for chat",
            )
        return ChatTemplate(self._render)

    def _render(self, messages: Messages) -> str:
        parts = [{"role": m["role"], "content": _parts(m["content"])} for m in messages]
        text: str = self._processor.apply_chat_template(
            parts, tokenize=False, add_generation_prompt=True
        )
        return text


def _parts(content: str) -> list[dict[str, str]]:
    """A message as the chat templates of vision-language models read it."""
    before, image, after = content.partition(IMAGE)
    parts = [{"type": "text", "text": before}] if before else []
    parts += [{"type": "image"}] if image else []
    return parts + ([{"type": "text", "text": after}] if after else [])


def skeleton(architecture: Mapping[str, Any]) -> nn.Module:
    """The model on torch's meta device, without weights, to count parameters.

    Args:
        architecture: contents of a config.json of transformers; `model_type` is required.
    """
    from transformers import AutoModelForImageTextToText

    return meta_model(architecture, AutoModelForImageTextToText)
