"""A frozen causal LLM that reads image tokens and a question, and answers.

The shipped one is SmolLM2-135M-Instruct, which is no radiologist: its texts are machine-made and
not for diagnosis.
"""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from zeus_app.derived import derive, sha256_of
from zeus_app.devices import has_fast_bfloat16
from zeus_app.errors import InputError
from zeus_app.instructions.templates import ChatTemplate, DoctorAssistant, PromptStyle

logger = logging.getLogger(__name__)

StyleName = Literal["chat", "doctor"]


class FrozenLlm:
    """A LLaMA-family model behind `protocols.LanguageModel`.

    Prompts of a batch are padded on the left, the padding is masked and takes no position, so a
    prompt's answer does not depend on its neighbours.
    """

    id: str
    hidden: int

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        prompt_style: StyleName = "chat",
    ) -> None:
        """Load the model; the first time, unpack it beside the weights (20 s).

        Args:
            weights: a GGUF file of a LLaMA-family model.
            device: where it runs.
            dtype: None is bfloat16 where the device is fast at it (on a CPU, under half the time
                and half the memory), else float32.
            prompt_style: "chat" is the form the model was tuned with, "doctor" the paper's.

        Raises:
            InputError: the file is no GGUF that can be read, or cannot be unpacked beside itself.
        """
        # Imported here: transformers takes seconds to import, and templates need none of it.
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # a server's log is no terminal
        self._device = torch.device(device)
        if dtype is None:
            dtype = torch.bfloat16 if has_fast_bfloat16(self._device) else torch.float32
        folder = _unpacked(weights)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True
        )
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._embed = self._model.get_input_embeddings()
        self._style = self._make_style(prompt_style)
        self.hidden = int(model.config.hidden_size)
        self.id = self.id_of(weights)

    @staticmethod
    def id_of(weights: Path) -> str:
        """The id of the model in a weight file, without loading it."""
        return f"{weights.stem}-{sha256_of(weights)[:12]}"

    @torch.inference_mode()
    def write(
        self,
        image_tokens: torch.Tensor | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """Answer N prompts greedily, so that the same input always gives the same text.

        Args:
            image_tokens: (N, P, hidden), or None for no image.
            prompts: N questions; the style's words are put around them.
            max_tokens: longest answer.

        Returns:
            N texts, white space at their ends removed; they may stop in mid-sentence.
        """
        if not prompts:
            return []
        embeddings, mask = self._inputs(image_tokens, prompts)
        positions = _positions(mask)
        cache, tokens = None, []
        ended = torch.zeros(len(prompts), dtype=torch.bool, device=self._device)
        end = self._tokenizer.eos_token_id
        for _ in range(max_tokens):
            out = self._model(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            token = out.logits[:, -1].argmax(-1).masked_fill(ended, end)  # (N,)
            tokens.append(token)
            ended = ended | (token == end)
            if bool(ended.all()):
                break
            cache = out.past_key_values
            embeddings = self._embed(token[:, None])
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
            positions = positions[:, -1:] + 1
        return [self._text(row) for row in torch.stack(tokens, dim=1).tolist()]

    def last_hidden(
        self, image_tokens: torch.Tensor | None, prompts: Sequence[str]
    ) -> torch.Tensor:
        """The last layer's state at the last prompt token, which has seen image and prompt.

        Args:
            image_tokens: (N, P, hidden); gradients reach them, and nothing else.
            prompts: N questions.

        Returns:
            (N, hidden) float32, after the model's final normalisation.
        """
        embeddings, mask = self._inputs(image_tokens, prompts)
        out = self._model.get_decoder()(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=_positions(mask),
            use_cache=False,
        )
        state: torch.Tensor = out.last_hidden_state[:, -1].float()  # padding is on the left
        return state

    def _inputs(
        self, image_tokens: torch.Tensor | None, prompts: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded (N, T, hidden) embeddings and their (N, T) mask, 1 where a token is."""
        if image_tokens is not None and len(image_tokens) != len(prompts):
            raise InputError(
                f"image tokens for {len(image_tokens)} prompts, and {len(prompts)} prompts",
                expected="one set of image tokens for each prompt",
                remedy="pass as many of the one as of the other",
            )
        rows = []
        for i, prompt in enumerate(prompts):
            before, after = (self._embedded(text) for text in self._style.around(prompt))
            middle = [] if image_tokens is None else [image_tokens[i].to(before)]
            rows.append(torch.cat([before, *middle, after]))
        longest = max(len(row) for row in rows)
        pads = [longest - len(row) for row in rows]
        padded = [
            torch.nn.functional.pad(row, (0, 0, pad, 0))
            for row, pad in zip(rows, pads, strict=True)
        ]
        column = torch.arange(longest, device=self._device)
        mask = (column >= torch.tensor(pads, device=self._device)[:, None]).long()
        return torch.stack(padded), mask

    def _embedded(self, text: str) -> torch.Tensor:
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        embedded: torch.Tensor = self._embed(ids.to(self._device))[0]
        return embedded  # (tokens, hidden)

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        if self._style.stop:
            text = text.split(self._style.stop)[0]
        return text.strip()

    def _make_style(self, name: StyleName) -> PromptStyle:
        if name == "doctor":
            return DoctorAssistant()
        return ChatTemplate(
            lambda messages: self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        )


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """(N, T) positions that count from the first token that is no padding."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _unpacked(weights: Path) -> Path:
    """A folder with the GGUF's parameters in half precision, its tokenizer and configuration.

    A GGUF is dequantised tensor by tensor and its tokenizer rebuilt at every load, about 15 s; half
    precision holds its 4-bit steps to 1 part in 2,000 and loads in under a second.
    """
    folder = weights.with_name(f"{FrozenLlm.id_of(weights)}-float16")

    def unpack(into: Path) -> None:
        from safetensors.torch import save_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        started = time.monotonic()
        logger.info("unpacking %s, once", weights)
        where: Any = {"gguf_file": weights.name, "local_files_only": True}
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(weights.parent, **where)
            model: Any = AutoModelForCausalLM.from_pretrained(
                weights.parent, dtype=torch.float16, **where
            )
        except Exception as error:  # the reader of GGUF raises whatever it meets
            raise InputError(
                f"{weights} cannot be read as a GGUF model: {str(error)[:200]}",
                expected="the GGUF file of a LLaMA-family model",
                remedy="run `zeus weights get smollm2-135m`",
            ) from error
        tokenizer.save_pretrained(into)
        # transformers refuses to save what it read from a GGUF, though nothing is quantised now.
        config = model.config.to_dict()
        config.pop("quantization_config", None)
        (into / "config.json").write_text(json.dumps(config, indent=1, default=str))
        save_model(model, str(into / "model.safetensors"), metadata={"format": "pt"})
        logger.info("unpacked in %.1f s: %s", time.monotonic() - started, folder)

    try:
        return derive(folder, unpack)
    except OSError as error:
        raise InputError(
            f"the LLM cannot be unpacked into {folder}: {error}",
            expected="a weights folder that is writable the first time, with 300 MB free",
            remedy="make room or make it writable, or set ZEUS_WEIGHTS to another folder",
        ) from error
