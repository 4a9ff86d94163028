"""A frozen causal LLM that reads image tokens and a question, and answers.

The shipped one is SmolLM2-135M-Instruct, which is no radiologist: its texts are machine-made and
not for diagnosis.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from zeus_app.devices import halving
from zeus_app.errors import InputError
from zeus_app.instructions.loading import load_causal, name_and_hash
from zeus_app.instructions.lora import LoraWeights, attach
from zeus_app.instructions.precision import Precision, resolve
from zeus_app.instructions.prefix import Ids, PrefixStates
from zeus_app.instructions.prompt_tokens import PromptTokens
from zeus_app.instructions.templates import StyleName
from zeus_app.progress import Pause, no_pause


class FrozenLlm:
    """Any causal LLM of transformers behind `protocols.LanguageModel`.

    Prompts of a batch are padded on the left, the padding is masked and takes no position, so a
    prompt's answer does not depend on its neighbours.

    Attributes:
        id: names the weights and everything else that changes a text.
        hidden: length of a token's embedding.
        lora: what of the LLM learns; None with rank 0.
    """

    sees_pictures = False  # only image tokens

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
        """Load the model; a GGUF is unpacked beside itself the first time.

        Args:
            weights: a GGUF file, or a folder as transformers saves a model (safetensors or
                pytorch_model.bin, in one file or several), or a file in such a folder.
            device: where it runs.
            precision: "auto" is bfloat16 where the device is fast at it (on a CPU, under half the
                time and half the memory), else float32. "8bit" and "4bit" need CUDA and
                bitsandbytes.
            prompt_style: "chat" is the form the model was tuned with, "doctor" the paper's.
            question_first: put the question before the image tokens, which makes `last_hidden` far
                cheaper where many pictures are asked the same. The paper has the image first.
            lora_rank: above 0, LoRA of this rank learns on the attention.

        Raises:
            InputError: the weights cannot be loaded, not in this precision, have no chat
                template while the style is "chat", or no layer of attention.
        """
        where = torch.device(device)
        tokenizer, model = load_causal(weights, device=where, precision=precision)
        # Inference mode would make LoRA's parameters unable to learn.
        with torch.inference_mode(False):
            self.lora: LoraWeights | None = attach(model, rank=lora_rank) if lora_rank else None
        ends = model.generation_config.eos_token_id
        self._tokens = PromptTokens(
            tokenizer,
            style=prompt_style,
            question_first=question_first,
            ends=ends if isinstance(ends, list) else [] if ends is None else [ends],
        )
        self._model = model
        self._embed = model.get_input_embeddings()
        self._prefixes = PrefixStates(model, learning=self.lora is not None)
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
        """Names what has been learnt: another after every step of LoRA's; empty without LoRA."""
        return self.lora.fingerprint() if self.lora else ""

    @torch.inference_mode()
    def write(
        self,
        image_tokens: torch.Tensor | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Answer N prompts greedily, so that the same input always gives the same text.

        Args:
            image_tokens: (N, P, hidden), or None for no image.
            prompts: N questions; the style's words are put around them.
            max_tokens: longest answer.
            pause: called before each token.

        Returns:
            N texts, without thoughts and white space at their ends; they may stop in mid-sentence.

        Raises:
            InputError: another number of image tokens, or the device's memory does not hold one
                prompt.
        """
        pictures = self._pictures(image_tokens, prompts)

        def some(rows: Sequence[int]) -> list[str]:
            chosen = pictures[list(rows)]
            asked = [prompts[i] for i in rows]
            return self._write(chosen, asked, max_tokens=max_tokens, pause=pause)

        return halving(some, range(len(prompts)))

    def last_hidden(
        self, image_tokens: torch.Tensor | None, prompts: Sequence[str]
    ) -> torch.Tensor:
        """The last layer's state at the last prompt token, which has seen image and prompt.

        What precedes the image tokens is computed once for each such text, and kept.

        Args:
            image_tokens: (N, P, hidden); gradients reach them and LoRA, and nothing else.
            prompts: N questions.

        Returns:
            (N, hidden) float32 where the image tokens are, after the model's final normalisation.
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
        """(N, hidden) for N pictures (N, P, hidden) that follow the same text."""
        shared = before if self._prefixes.usable else ()
        again = [before[len(shared) :]] * len(afters)
        embeddings, mask = self._inputs(again, pictures, afters)
        mask = torch.cat([mask.new_ones(len(mask), len(shared)), mask], dim=1)
        # The profile says in which numbers the LLM computes, not the training around it.
        with torch.autocast(self._device.type, enabled=False):
            out = self._model.get_decoder()(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=_positions(mask)[:, len(shared) :],
                past_key_values=self._prefixes.expanded(shared, len(mask)) if shared else None,
                use_cache=bool(shared),
            )
        states: torch.Tensor = out.last_hidden_state[:, -1].float()  # padding is on the left
        return states

    def _write(
        self, pictures: torch.Tensor, prompts: Sequence[str], *, max_tokens: int, pause: Pause
    ) -> list[str]:
        around = [self._tokens.around(prompt) for prompt in prompts]
        embeddings, mask = self._inputs(
            [before for before, _ in around], pictures, [after for _, after in around]
        )
        positions = _positions(mask)
        cache, tokens = None, []
        ends = torch.tensor(self._tokens.ends, dtype=torch.long, device=self._device)
        ended = torch.zeros(len(prompts), dtype=torch.bool, device=self._device)
        for _ in range(max_tokens):
            pause()
            out = self._model(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            token = out.logits[:, -1].argmax(-1)  # (N,)
            tokens.append(token)
            ended = ended | torch.isin(token, ends)
            if bool(ended.all()):
                break
            cache = out.past_key_values
            embeddings = self._embed(token[:, None])
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
            positions = positions[:, -1:] + 1
        return [self._tokens.text(row) for row in torch.stack(tokens, dim=1).tolist()]

    def _pictures(self, image_tokens: torch.Tensor | None, prompts: Sequence[str]) -> torch.Tensor:
        """(N, P, hidden) on the LLM's device in its numbers; P is 0 without an image."""
        like: torch.Tensor = self._embed.weight
        if image_tokens is None:
            return like.new_zeros(len(prompts), 0, self.hidden)
        if len(image_tokens) != len(prompts):
            raise InputError(
                f"image tokens for {len(image_tokens)} prompts, and {len(prompts)} prompts",
                expected="one set of image tokens for each prompt",
                remedy="pass as many of the one as of the other",
            )
        return image_tokens.to(device=self._device, dtype=like.dtype)

    def _inputs(
        self, befores: Sequence[Ids], pictures: torch.Tensor, afters: Sequence[Ids]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded (N, T, hidden) embeddings and their (N, T) mask, 1 where a token is."""
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
    """(N, T) positions that count from the first token that is no padding."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
