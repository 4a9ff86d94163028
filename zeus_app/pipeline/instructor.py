"""From a study's slices to its instructions, and to what a decoder can be told by them."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from zeus_app.encoders.cached import CachedTextEncoder, CachedVisionEncoder, PooledVision
from zeus_app.errors import InputError
from zeus_app.instructions.generate import (
    InstructionGenerator,
    Request,
    nearest,
    slices_to_describe,
)
from zeus_app.progress import Report
from zeus_app.protocols import LanguageModel
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

TEMPLATE = "template"
"""The writer of what is no model's and no user's text."""

Written = tuple[str, str]
"""(text, who wrote it)."""

Project = Callable[[FloatArray], torch.Tensor]
"""f_vt: (N, T, C) features -> (N, P, hidden) image tokens."""

Prompts = Mapping[str, FloatArray]
"""What the aligner reads: "texts", (S or 1, M, K, D) vectors, unless in embedding mode; "features",
(S or 1, M, T, C) of the pictures, unless in text mode. One row serves all slices of a series."""


def check_scope(scope: str, mode: str) -> None:
    """Without an LLM there are names to encode, and no last layer.

    Raises:
        InputError: scope "none" where the mode reads the LLM's last layer.
    """
    if scope == "none" and mode != "text":
        raise InputError(
            f"scope none in {mode} mode, which reads the LLM's last layer",
            expected="series, key or all",
            remedy="choose another scope, or start the server with instruction text",
        )


class Instructor:
    """F_v, F_LLM and F_t of the paper, each behind its store.

    Args:
        target: what is asked about, in which sequences.
        texts: the instruction encoder F_t.
        vision: F_v; None where the writer needs no features.
        writer: F_LLM.
        prompt: (instance, spoken sequence) -> the question put to the LLM.
        scope: which slices get an instruction: "none", "series", "key" or "all".
    """

    def __init__(
        self,
        *,
        target: Target,
        texts: CachedTextEncoder,
        vision: PooledVision | CachedVisionEncoder | None,
        writer: InstructionGenerator,
        prompt: Callable[[str, str], str],
        scope: str,
    ) -> None:
        self.tower_ids = {
            "vision feature": vision.id if vision else "none",
            "LLM": writer.id,
            "text encoder": texts.encoder.id,
        }
        self._target, self._writer = target, writer
        self._texts, self._vision = texts, vision
        self._prompt, self._scope = prompt, scope

    @property
    def llm(self) -> LanguageModel:
        """The LLM that reads image tokens.

        Raises:
            InputError: this profile has none.
        """
        if self._vision is None:
            raise InputError(
                "a profile in which no projection shows pictures to an LLM",
                expected="a profile whose LLM reads image tokens",
                remedy="set projection_share to 0, or choose another profile",
            )
        return cast(LanguageModel, self._writer.model)

    def instruct(
        self,
        stack: SliceStack,
        *,
        guidance: Guidance,
        mode: str,
        project: Project,
        report: Report,
    ) -> tuple[tuple[Instruction, ...], Prompts]:
        """Write every instruction that is not kept yet.

        Args:
            stack: the study.
            guidance: what the user wishes.
            mode: "text", "embedding" or "both".
            project: f_vt as it is now.
            report: told about each batch.

        Raises:
            InputError: no slice shows tissue, or texts that nothing would read.
        """
        scope = guidance.scope or self._scope
        by_slice = scope in ("key", "all")
        requests = self._requests(stack.tissue, scope)
        features = self._features(stack, requests)
        if mode == "embedding":
            texts = self._asked(requests, guidance)
        else:
            texts = self._texts_for(
                stack, requests, features, guidance, scope, project=project, report=report
            )
        instructions = tuple(
            self._instruction(request, text, writer, by_slice=by_slice)
            for request, (text, writer) in zip(requests, texts, strict=True)
        )
        prompts = {}
        if mode != "embedding":
            vectors = self._texts.encode(list(map(self._prompt_text, requests, instructions)))
            prompts["texts"] = self._placed(requests, vectors, stack.tissue, by_slice=by_slice)
        if mode != "text":
            placed = self._placed(requests, features, stack.tissue, by_slice=by_slice)
            prompts["features"] = placed[:, :, 0]  # the same for every label
        return instructions, prompts

    def last_layer(
        self, features: torch.Tensor, present: torch.Tensor, projector: nn.Module
    ) -> torch.Tensor:
        """The LLM's last layer, computed once for equal pictures.

        Args:
            features: (B, M, T, C).
            present: (B, M) bool.
            projector: f_vt; gradients reach it.

        Returns:
            (B, M, K, hidden).
        """
        where = present.nonzero()
        shown = features[present]  # (N, T, C)
        rows = torch.cat([where[:, 1:].to(shown.dtype), shown.flatten(1)], dim=1)
        unique, back = torch.unique(rows, dim=0, return_inverse=True)
        tokens = projector(unique[:, 1:].unflatten(1, shown.shape[1:]))
        names = [self._target.sequences[int(m)].prompt_name for m in unique[:, 0].tolist()]
        states = [
            self.llm.last_hidden(tokens, [self._prompt(label.prompt_name, name) for name in names])
            for label in self._target.labels
        ]
        found = torch.stack(states, dim=1).to(features)[back]  # (N, K, hidden)
        hidden = features.new_zeros((*present.shape, *found.shape[1:]))
        return hidden.index_put((where[:, 0], where[:, 1]), found)

    def _requests(self, tissue: BoolArray, scope: str) -> list[Request]:
        if not tissue.any():
            raise InputError(
                "a study in which no slice shows tissue",
                expected="at least one axial slice with something above the background",
                remedy="check that the volumes are not empty",
            )
        return [
            Request(m, k, s, self._prompt(label.prompt_name, self._target.sequences[m].prompt_name))
            for m, slices in enumerate(slices_to_describe(tissue, scope=scope))
            for s in slices
            for k, label in enumerate(self._target.labels)
        ]

    def _features(self, stack: SliceStack, requests: Sequence[Request]) -> FloatArray:
        """(N, T, C), of the slice each request is about; nothing for a writer that needs none."""
        if self._vision is None:
            return np.zeros((len(requests), 0, 0), np.float32)
        places = list({(request.branch, request.slice_index) for request in requests})
        found = self._vision.encode([stack.pixels[place] for place in places])
        rows = {place: row for row, place in enumerate(places)}
        return found[[rows[request.branch, request.slice_index] for request in requests]]

    @torch.inference_mode()
    def _texts_for(
        self,
        stack: SliceStack,
        requests: Sequence[Request],
        features: FloatArray,
        guidance: Guidance,
        scope: str,
        *,
        project: Project,
        report: Report,
    ) -> list[Written]:
        """The user's own texts where there are some; the machine's elsewhere, unless unwanted."""
        own = [guidance.texts.get(self._names(request)) for request in requests]
        texts = [(text, "user") if text else ("", TEMPLATE) for text in own]
        open_ones = [i for i, text in enumerate(own) if not text]
        if scope == "none" or not open_ones:
            return texts
        asked = [requests[i] for i in open_ones]
        shown = self._shown(stack, asked, features[open_ones], project)
        for i, text in zip(open_ones, self._writer.write(asked, shown, report=report), strict=True):
            texts[i] = (text, self._writer.id)
        return texts

    def _shown(
        self,
        stack: SliceStack,
        requests: Sequence[Request],
        features: FloatArray,
        project: Project,
    ) -> torch.Tensor | FloatArray:
        """What the writer looks at: slices, image tokens, or nothing at all."""
        if self._writer.sees_pictures:
            pictures: FloatArray = np.stack(
                [stack.pixels[one.branch, one.slice_index] for one in requests]
            )
            return pictures
        if self._vision is None:
            return features
        return project(features)

    def _asked(self, requests: Sequence[Request], guidance: Guidance) -> list[Written]:
        """What the LLM was asked: in embedding mode it answers with numbers, not words."""
        if guidance.texts:
            raise InputError(
                "instructions in embedding mode",
                expected="none: the LLM's last layer is used, no text is read",
                remedy="leave them out, or set instruction to text",
            )
        return [(request.prompt, TEMPLATE) for request in requests]

    def _names(self, request: Request) -> tuple[str, str]:
        return self._target.sequence_names[request.branch], self._target.label_names[request.label]

    def _instruction(
        self, request: Request, text: str, writer: str, *, by_slice: bool
    ) -> Instruction:
        sequence, label = self._names(request)
        index = request.slice_index if by_slice else None
        return Instruction(sequence, label, index, text or self._heading(request), writer)

    def _heading(self, request: Request) -> str:
        label = self._target.labels[request.label].prompt_name
        return f"{label} in {self._target.sequences[request.branch].prompt_name}"

    def _prompt_text(self, request: Request, instruction: Instruction) -> str:
        """What is encoded: the instruction under its heading, for small LLMs lose the subject."""
        heading = self._heading(request)
        return heading if instruction.text == heading else f"{heading}: {instruction.text}"

    def _placed(
        self,
        requests: Sequence[Request],
        values: FloatArray,
        tissue: BoolArray,
        *,
        by_slice: bool,
    ) -> FloatArray:
        """(S or 1, M, K, ...): each slice with tissue has the values of the nearest described."""
        sequences, slices = tissue.shape
        rows = slices if by_slice else 1
        shape = (rows, sequences, len(self._target.labels), *values.shape[1:])
        placed = np.zeros(shape, np.float32)
        for m in range(sequences):
            mine = [i for i, request in enumerate(requests) if request.branch == m]
            if not mine:
                continue
            described = sorted({requests[i].slice_index for i in mine})
            closest = np.array(nearest(described, slices)) if by_slice else np.zeros(1, int)
            for i in mine:
                at = closest == described.index(requests[i].slice_index)
                placed[at & (tissue[m] if by_slice else True), m, requests[i].label] = values[i]
        return placed
