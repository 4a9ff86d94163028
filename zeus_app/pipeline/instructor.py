"""From a study's slices to its instructions, and to the vectors that the aligner reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from zeus_app.encoders.cached import CachedTextEncoder, CachedVisionEncoder, PooledVision
from zeus_app.errors import InputError
from zeus_app.instructions.generate import (
    WITHOUT_PICTURES,
    InstructionGenerator,
    Request,
    nearest,
    slices_to_describe,
)
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.progress import Report
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

TEMPLATE = "template"
"""The author of texts that neither a model nor a user wrote."""

AuthoredText = tuple[str, str]
"""(text, author). The author is a model's id, "user" or "template"."""

Project = Callable[[FloatArray], torch.Tensor]
"""f_vt: (N, T, C) features -> (N, P, hidden) image tokens."""

AlignerInputs = Mapping[str, FloatArray]
"""What the aligner reads: "texts", (S or 1, M, K, D) vectors, unless in embedding mode; "features",
(S or 1, M, T, C) of the pictures, unless in text mode. One row serves all slices of a series."""


def check_scope(scope: str, mode: str) -> None:
    """Refuse scopes without pictures in a mode that reads the LLM's last layer.

    Raises:
        InputError: scope "none" or "target" in mode "embedding" or "both".
    """
    if scope in ("none", WITHOUT_PICTURES) and mode != "text":
        raise InputError(
            f"scope {scope} in {mode} mode, which reads the LLM's last layer",
            expected="series, key or all",
            remedy="send scope series, or start the server with --conf instruction text",
        )


class Instructor:
    """The towers F_v, F_LLM and F_t of the paper, each behind the cache.

    Args:
        target: the labels and sequences that instructions are about.
        texts: the text encoder F_t.
        vision: the vision tower F_v; None if the generator needs no features.
        generator: F_LLM.
        prompt: (label's prompt name, sequence's prompt name) -> question to the LLM.
        scope: what gets an instruction: "none", "target", "series", "key" or "all".
        older_scope: the scope of weights that do not tell theirs, and of a trained projection.
            Empty if the settings name a scope: then all weights are asked in this scope.

    Attributes:
        scope: the scope now.
    """

    def __init__(
        self,
        *,
        target: Target,
        texts: CachedTextEncoder,
        vision: PooledVision | CachedVisionEncoder | None,
        generator: InstructionGenerator,
        prompt: Callable[[str, str], str],
        scope: str,
        older_scope: str = "",
    ) -> None:
        self.tower_ids = {
            "vision feature": vision.id if vision else "none",
            "LLM": generator.id,
            "text encoder": texts.encoder.id,
        }
        self._target, self._generator = target, generator
        self._texts, self._vision = texts, vision
        self._prompt = prompt
        self.scope, self._own_scope, self._older_scope = scope, scope, older_scope

    def write_as(self, recorded: str | None) -> None:
        """Take the scope of weights; see `protocols.WritesTexts`."""
        if self._older_scope:
            self.scope = self._own_scope if recorded is None else recorded or self._older_scope

    def show_pictures(self) -> None:
        """Write the next texts with pictures, because the projection has learned to show them.

        Raises:
            InputError: the settings name the scope without pictures.
        """
        if self.scope != WITHOUT_PICTURES:
            return
        if not self._older_scope:
            raise InputError(
                f"a training of the projection, with scope {WITHOUT_PICTURES}, in which the LLM"
                " sees no picture",
                expected="series, key or all",
                remedy="set projection_share to 0, or start the server with --conf scope series",
            )
        self.scope = self._older_scope

    @property
    def llm(self) -> FrozenLlm:
        """The LLM that reads image tokens.

        Raises:
            InputError: the profile has none.
        """
        if self._vision is None:
            raise InputError(
                "a profile without a projection from pictures to an LLM",
                expected="a profile whose LLM reads image tokens",
                remedy="set projection_share to 0, or use the profile reference-small",
            )
        return cast(FrozenLlm, self._generator.model)

    def instruct(
        self,
        stack: SliceStack,
        *,
        guidance: Guidance,
        mode: str,
        project: Project,
        report: Report,
    ) -> tuple[tuple[Instruction, ...], AlignerInputs]:
        """Generate every instruction that is not cached, and encode all of them.

        Args:
            stack: the study's slices.
            guidance: the user's own texts and scope.
            mode: "text", "embedding" or "both".
            project: the present f_vt.
            report: called before each batch.

        Raises:
            InputError: no slice shows tissue, or the user sent texts in embedding mode.
        """
        scope = guidance.scope or self.scope
        by_slice = scope in ("key", "all")
        requests = self._requests(stack.tissue, scope)
        sees_nothing = scope == WITHOUT_PICTURES and mode == "text"
        features = self._no_features(requests) if sees_nothing else self._features(stack, requests)
        if mode == "embedding":
            texts = self._prompts_as_texts(requests, guidance)
        else:
            texts = self._texts_for(
                stack, requests, features, guidance, scope, project=project, report=report
            )
        instructions = tuple(
            self._instruction(request, text, author, by_slice=by_slice)
            for request, (text, author) in zip(requests, texts, strict=True)
        )
        inputs = {}
        if mode != "embedding":
            vectors = self._texts.encode(list(map(self._text_to_encode, requests, instructions)))
            inputs["texts"] = self._by_slice(requests, vectors, stack.tissue, by_slice=by_slice)
        if mode != "text":
            of_labels = self._by_slice(requests, features, stack.tissue, by_slice=by_slice)
            inputs["features"] = of_labels[:, :, 0]  # the same for every label
        return instructions, inputs

    def last_layer(
        self, features: torch.Tensor, present: torch.Tensor, projector: nn.Module
    ) -> torch.Tensor:
        """The LLM's last layer per slice, sequence and label. Equal pictures are computed once.

        Args:
            features: (B, M, T, C).
            present: (B, M) bool.
            projector: f_vt; gradients reach it.

        Returns:
            (B, M, K, hidden).
        """
        where = present.nonzero()
        of_present = features[present]  # (N, T, C)
        rows = torch.cat([where[:, 1:].to(of_present.dtype), of_present.flatten(1)], dim=1)
        unique, row_of = torch.unique(rows, dim=0, return_inverse=True)
        tokens = projector(unique[:, 1:].unflatten(1, of_present.shape[1:]))
        names = [self._target.sequences[int(m)].prompt_name for m in unique[:, 0].tolist()]
        states = [
            self.llm.last_hidden(tokens, [self._prompt(label.prompt_name, name) for name in names])
            for label in self._target.labels
        ]
        by_label = torch.stack(states, dim=1).to(features)[row_of]  # (N, K, hidden)
        hidden = features.new_zeros((*present.shape, *by_label.shape[1:]))
        return hidden.index_put((where[:, 0], where[:, 1]), by_label)

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
        """(N, T, C) features of each request's slice; (N, 0, 0) without a vision tower."""
        if self._vision is None:
            return self._no_features(requests)
        pictures = list({(request.branch, request.slice_index) for request in requests})
        features = self._vision.encode([stack.pixels[picture] for picture in pictures])
        rows = {picture: row for row, picture in enumerate(pictures)}
        return features[[rows[request.branch, request.slice_index] for request in requests]]

    @staticmethod
    def _no_features(requests: Sequence[Request]) -> FloatArray:
        return np.zeros((len(requests), 0, 0), np.float32)

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
    ) -> list[AuthoredText]:
        """The user's own texts; for the others the model's, unless the scope is "none"."""
        own = [guidance.texts.get(self._names(request)) for request in requests]
        texts = [(text, "user") if text else ("", TEMPLATE) for text in own]
        missing = [i for i, text in enumerate(own) if not text]
        if scope == "none" or not missing:
            return texts
        to_generate = [requests[i] for i in missing]
        if scope == WITHOUT_PICTURES:
            self._refuse_without_pictures()
            visual = None
        else:
            visual = self._visual(stack, to_generate, features[missing], project)
        generated = self._generator.generate(to_generate, visual, report=report)
        for i, text in zip(missing, generated, strict=True):
            texts[i] = (text, self._generator.id)
        return texts

    def _refuse_without_pictures(self) -> None:
        if self._generator.sees_pictures:
            raise InputError(
                f"scope {WITHOUT_PICTURES}, and a language model that sees the slices",
                expected="none, series, key or all",
                remedy="send scope series",
            )

    def _visual(
        self,
        stack: SliceStack,
        requests: Sequence[Request],
        features: FloatArray,
        project: Project,
    ) -> torch.Tensor | FloatArray:
        """What the model sees: (N, 256, 256) slices, image tokens, or (N, 0, 0) for nothing."""
        if self._generator.sees_pictures:
            pictures: FloatArray = np.stack(
                [stack.pixels[request.branch, request.slice_index] for request in requests]
            )
            return pictures
        if self._vision is None:
            return features
        return project(features)

    def _prompts_as_texts(
        self, requests: Sequence[Request], guidance: Guidance
    ) -> list[AuthoredText]:
        """The questions to the LLM, because in embedding mode it generates no text."""
        if guidance.texts:
            raise InputError(
                "instructions in embedding mode",
                expected="no instructions: this mode reads the LLM's last layer and no text",
                remedy="send no instructions, or start the server with --conf instruction text",
            )
        return [(request.prompt, TEMPLATE) for request in requests]

    def _names(self, request: Request) -> tuple[str, str]:
        return self._target.sequence_names[request.branch], self._target.label_names[request.label]

    def _instruction(
        self, request: Request, text: str, author: str, *, by_slice: bool
    ) -> Instruction:
        sequence, label = self._names(request)
        index = request.slice_index if by_slice else None
        return Instruction(sequence, label, index, text or self._heading(request), author)

    def _heading(self, request: Request) -> str:
        label = self._target.labels[request.label].prompt_name
        return f"{label} in {self._target.sequences[request.branch].prompt_name}"

    def _text_to_encode(self, request: Request, instruction: Instruction) -> str:
        """The instruction after its heading, because small LLMs forget to name the subject."""
        heading = self._heading(request)
        return heading if instruction.text == heading else f"{heading}: {instruction.text}"

    def _by_slice(
        self,
        requests: Sequence[Request],
        values: FloatArray,
        tissue: BoolArray,
        *,
        by_slice: bool,
    ) -> FloatArray:
        """Give each slice with tissue the values of the nearest slice that has an instruction.

        Args:
            requests: N requests.
            values: (N, ...) values of each request.
            tissue: (M, S) bool.
            by_slice: one row per slice; otherwise one row for the whole series.

        Returns:
            (S or 1, M, K, ...) float32; zeros where there is no tissue.
        """
        sequences, slices = tissue.shape
        rows = slices if by_slice else 1
        shape = (rows, sequences, len(self._target.labels), *values.shape[1:])
        by_row = np.zeros(shape, np.float32)
        for m in range(sequences):
            of_sequence = [i for i, request in enumerate(requests) if request.branch == m]
            if not of_sequence:
                continue
            described = sorted({requests[i].slice_index for i in of_sequence})
            closest = np.array(nearest(described, slices)) if by_slice else np.zeros(1, int)
            for i in of_sequence:
                at = closest == described.index(requests[i].slice_index)
                by_row[at & (tissue[m] if by_slice else True), m, requests[i].label] = values[i]
        return by_row
