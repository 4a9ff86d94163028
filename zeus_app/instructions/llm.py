"""A frozen causal LLM that reads image tokens and a question, and generates an answer.

Zeus ships SmolLM2-135M-Instruct, which knows no radiology. Its texts are not for diagnosis.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zeus_app.devices import split_when_out_of_memory
from zeus_app.errors import InputError
from zeus_app.instructions.loading import load_causal, name_and_hash
from zeus_app.instructions.lora import LoraWeights, attach
from zeus_app.instructions.pausing import pause_between_tokens
from zeus_app.instructions.precision import Precision, resolve
from zeus_app.instructions.prefix import Ids, PrefixStates
from zeus_app.instructions.prompt_tokens import PromptTokens
from zeus_app.instructions.templates import StyleName
from zeus_app.progress import Pause, no_pause


class FrozenLlm:
    """Any causal LLM of transformers.

    The prompts of a batch are padded on the left. Padding is masked and has no position, so that a
    prompt's answer does not depend on the other prompts.

    Attributes:
        id: names the weights and all settings that change a text.
        hidden: length of a token's embedding.
        lora: the LLM's trainable LoRA weights; None with rank 0.
        model: the frozen network of transformers.
        prefixes: the reused beginnings of prompts; none while `prefixes.usable` is False.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
        prompt_style: StyleName = "chat",
        question_first: bool = False,
        lora_rank: int = 0,
    ) -> None:
        """Load the model. A GGUF file is unpacked into a folder beside it the first time.

        Args:
            weights: a GGUF file, or a folder as transformers saves a model (safetensors or
                pytorch_model.bin, in one file or several), or a file in such a folder.
            device: device of the model.
            precision: "auto" is bfloat16 if the device computes it in hardware, else float32. On
                such a CPU bfloat16 takes less than half the time and half the memory. "8bit" and
                "4bit" need CUDA and bitsandbytes.
            prompt_style: "chat" is the form that the model was tuned with, "doctor" the paper's.
            question_first: put the question before the image tokens; the paper has the image first.
                `last_hidden` is then much cheaper when many pictures get the same question.
            lora_rank: rank of LoRA on the attention; 0 for none.

        Raises:
            InputError: the weights cannot be loaded, or not in this precision; there is no chat
                template for the style "chat"; or the LLM has no layer of attention.
        """
        where = torch.device(device)
        tokenizer, model = load_causal(weights, device=where, precision=precision)
        # Parameters made in inference mode could not be trained.
        with torch.inference_mode(False):
            self.lora: LoraWeights | None = attach(model, rank=lora_rank) if lora_rank else None
        ends = model.generation_config.eos_token_id
        self._tokens = PromptTokens(
            tokenizer,
            style=prompt_style,
            question_first=question_first,
            ends=ends if isinstance(ends, list) else [] if ends is None else [ends],
        )
        self.model = model
        # Replaces the model's own generation settings, such as a repetition penalty.
        model.generation_config = self._greedy()
        self._embed = model.get_input_embeddings()
        self.prefixes = PrefixStates(model, learning=self.lora is not None)
        self._device = where
        self.hidden = int(self._embed.embedding_dim)
        self.id = self.id_of(
            weights,
            device=where,
            precision=precision,
            prompt_style=prompt_style,
            question_first=question_first,
            lora_rank=lora_rank,
        )

    @staticmethod
    def id_of(
        weights: Path,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
        prompt_style: StyleName = "chat",
        question_first: bool = False,
        lora_rank: int = 0,
    ) -> str:
        """The id of a model with these settings, without loading it."""
        parts = [name_and_hash(weights), prompt_style, resolve(precision, torch.device(device))]
        parts += ["question-first"] if question_first else []
        parts += [f"lora{lora_rank}"] if lora_rank else []
        return "-".join(parts)

    def fingerprint(self) -> str:
        """Hash of LoRA's weights as they are now; "" without LoRA."""
        return self.lora.fingerprint() if self.lora else ""

    @torch.inference_mode()
    def generate(
        self,
        image_tokens: torch.Tensor | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Generate N answers greedily: the same input always gives the same text.

        Args:
            image_tokens: (N, P, hidden), or None for no image.
            prompts: N questions, without the words of the prompt style.
            max_tokens: longest answer, in tokens.
            pause: called before the first token and after each.

        Returns:
            N texts, stripped, without `<think>` parts. They may stop in mid-sentence.

        Raises:
            InputError: the number of image tokens differs from N, or one prompt does not fit into
                the device's memory.
        """
        pictures = self._pictures(image_tokens, prompts)

        def generate(rows: Sequence[int]) -> list[str]:
            questions = [prompts[i] for i in rows]
            return self._generate(
                pictures[list(rows)], questions, max_tokens=max_tokens, pause=pause
            )

        return split_when_out_of_memory(generate, range(len(prompts)))

    def last_hidden(
        self, image_tokens: torch.Tensor | None, prompts: Sequence[str]
    ) -> torch.Tensor:
        """The last layer's state at the last prompt token, which attends to image and prompt.

        The states of the text before the image tokens are computed once per text, and cached.

        Args:
            image_tokens: (N, P, hidden). Gradients reach them and LoRA, and nothing else.
            prompts: N questions.

        Returns:
            (N, hidden) float32 on the image tokens' device, after the model's final normalisation.
        """
        pictures = self._pictures(image_tokens, prompts)
        around = [self._tokens.around(prompt) for prompt in prompts]
        groups: dict[Ids, list[int]] = {}
        for i, (before, _) in enumerate(around):
            groups.setdefault(before, []).append(i)
        if not groups:
            return pictures.new_zeros(0, self.hidden, dtype=torch.float32)
        parts = [
            self._last_states(before, pictures[rows], [around[i][1] for i in rows])
            for before, rows in groups.items()
        ]
        order = torch.tensor([i for rows in groups.values() for i in rows], device=self._device)
        states = torch.cat(parts)[order.argsort()]
        return states if image_tokens is None else states.to(image_tokens.device)

    def _last_states(
        self, before: Ids, pictures: torch.Tensor, afters: Sequence[Ids]
    ) -> torch.Tensor:
        """(N, hidden) float32 for image tokens (N, P, hidden) that follow the same text."""
        shared = before if self.prefixes.usable else ()
        rest = [before[len(shared) :]] * len(afters)
        embeddings, mask = self._inputs(rest, pictures, afters)
        mask = torch.cat([mask.new_ones(len(mask), len(shared)), mask], dim=1)
        # The profile sets the LLM's precision. The autocast of a training must not change it.
        with torch.autocast(self._device.type, enabled=False):
            out = self.model.get_decoder()(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=_positions(mask)[:, len(shared) :],
                past_key_values=self.prefixes.expanded(shared, len(mask)) if shared else None,
                use_cache=bool(shared),
            )
        states: torch.Tensor = out.last_hidden_state[:, -1].float()  # padding is on the left
        return states

    def _generate(
        self, pictures: torch.Tensor, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        around = [self._tokens.around(prompt) for prompt in prompts]
        embeddings, mask = self._inputs(
            [before for before, _ in around], pictures, [after for _, after in around]
        )
        pause()
        tokens = self.model.generate(
            inputs_embeds=embeddings,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            stopping_criteria=[pause_between_tokens(pause)],
        )
        return [self._tokens.text(row) for row in tokens.tolist()]

    def _greedy(self) -> Any:
        from transformers import GenerationConfig

        ends = self._tokens.ends
        return GenerationConfig(
            do_sample=False, eos_token_id=ends or None, pad_token_id=ends[0] if ends else 0
        )

    def _pictures(self, image_tokens: torch.Tensor | None, prompts: Sequence[str]) -> torch.Tensor:
        """(N, P, hidden) image tokens on the LLM's device, in its dtype; P = 0 without an image."""
        like: torch.Tensor = self._embed.weight
        if image_tokens is None:
            return like.new_zeros(len(prompts), 0, self.hidden)
        if len(image_tokens) != len(prompts):
            raise InputError(
                f"image tokens for {len(image_tokens)} prompts, and {len(prompts)} prompts",
                expected="one set of image tokens for each prompt",
                remedy=f"pass image tokens of shape ({len(prompts)}, P, {self.hidden})",
            )
        return image_tokens.to(device=self._device, dtype=like.dtype)

    def _inputs(
        self, befores: Sequence[Ids], pictures: torch.Tensor, afters: Sequence[Ids]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded (N, T, hidden) embeddings, and their (N, T) mask: 0 on padding, else 1."""
        rows = [
            torch.cat([self._embedded(before), picture, self._embedded(after)])
            for before, picture, after in zip(befores, pictures, afters, strict=True)
        ]
        longest = max(len(row) for row in rows)
        pads = [longest - len(row) for row in rows]
        padded = [
            torch.nn.functional.pad(row, (0, 0, pad, 0))
            for row, pad in zip(rows, pads, strict=True)
        ]
        column = torch.arange(longest, device=self._device)
        mask = (column >= torch.tensor(pads, device=self._device)[:, None]).long()
        return torch.stack(padded), mask

    def _embedded(self, ids: Ids) -> torch.Tensor:
        tokens = torch.tensor(ids, dtype=torch.long, device=self._device)
        embedded: torch.Tensor = self._embed(tokens)
        return embedded  # (tokens, hidden)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """(N, T) positions, counted from the first token after the padding."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
