"""Many studies, one after another: `zeus segment`."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from time import perf_counter

from zeus_app.api.description import Choices, describe, fingerprint, mask_on
from zeus_app.api.model import ZeusModel
from zeus_app.api.opening import one_study, open_files, refuse_unknown, with_sequences
from zeus_app.api.output import StudyOutput
from zeus_app.api.preview import brightest_spot, example_png, preview_png
from zeus_app.errors import CancelledError, InputError
from zeus_app.progress import Report
from zeus_app.settings.file_names import readable
from zeus_app.storage.atomic import remove_half_written, write_atomically
from zeus_app.studies.find import find_studies
from zeus_app.types import StudyFiles

logger = logging.getLogger(__name__)
STUDIES = "studies"
"""Stage of the whole run."""


class State(Enum):
    """What became of a study."""

    SEGMENTED = "segmented"
    DONE_BEFORE = "done before"
    FAILED = "failed"
    EXAMPLE = "example of a click"


@dataclass(frozen=True)
class Outcome:
    """One study of a run.

    Attributes:
        study_id: the study's id.
        state: what became of it.
        text: volumes and seconds, or the reason.
        path: the mask, or the picture of the example; None if there is none.
    """

    study_id: str
    state: State
    text: str
    path: Path | None = None


@dataclass(frozen=True)
class Batch:
    """The studies of a file, of a study's folder, or of a folder of studies.

    Args:
        model: segments them.
        source: the file or folder.
        out: the output folder.
        choices: of the user, for all studies.
        report: called with the stage, and with `STUDIES` for the whole; it may raise to stop.

    Raises:
        InputError: the source does not exist, or the output folder lies among the studies.
        UnknownNameError: the target has no such sequence.
    """

    model: ZeusModel
    source: Path
    out: Path
    choices: Choices
    report: Report

    def __post_init__(self) -> None:
        named = filter(None, (*self.choices.sequences, self.choices.sequence))
        refuse_unknown(list(named), self.model.target)
        _refuse_among_studies(self.out, self.source)

    def segment(self, *, again: bool = False) -> Iterator[Outcome]:
        """Segment every study. A study that fails is told, and the next one follows.

        What was made of the same images with the same settings and weights is skipped.

        Args:
            again: segment those studies too.
        """
        studies, failed = self._studies()
        yield from failed
        yield from self._each(studies, lambda files: self._segmented(files, again=again))

    def show_clicks(self, most: int) -> Iterator[Outcome]:
        """Draw what one click gives in the first studies. It needs no training and is no result."""
        studies, failed = self._studies()
        yield from failed
        yield from self._each(studies[:most], self._example)

    def _studies(self) -> tuple[list[StudyFiles], list[Outcome]]:
        """The studies, and those that cannot be used."""
        target, choices = self.model.target, self.choices
        if not self.source.is_dir():
            shown = choices.sequences or ((choices.sequence,) if choices.sequence else ())
            return [one_study(self.source, target, shown)], []
        catalog = find_studies(self.source, target, skip=(self.model.state.root, self.out))
        failed = [Outcome(problem.id, State.FAILED, problem.reason) for problem in catalog.problems]
        return list(catalog.studies.values()), failed

    def _each(
        self, studies: Sequence[StudyFiles], work: Callable[[StudyFiles], Outcome]
    ) -> Iterator[Outcome]:
        remove_half_written(self.out)
        for done, files in enumerate(studies):
            self.report(STUDIES, done, len(studies))
            try:
                yield work(files)
            except (InputError, OSError) as error:
                yield self._failed(files, readable(error))
            except CancelledError:
                raise
            except Exception as error:  # our fault: with a traceback, and the others go on
                logger.exception("study %s", files.id)
                yield self._failed(files, f"{type(error).__name__}: {readable(error)}")
        self.report(STUDIES, len(studies), len(studies))

    def _failed(self, files: StudyFiles, reason: str) -> Outcome:
        earlier = self._output(files).mask
        stays = f" An earlier mask stays: {earlier.name}." if earlier.is_file() else ""
        return Outcome(files.id, State.FAILED, f"{reason}{stays}")

    def _output(self, files: StudyFiles) -> StudyOutput:
        return StudyOutput(self.out, files.id, self.choices.extension)

    def _segmented(self, files: StudyFiles, *, again: bool) -> Outcome:
        model, choices, output = self.model, self.choices, self._output(files)
        files = with_sequences(files, choices.sequences, model.target)
        checkpoint = model.checkpoint
        mark = fingerprint(
            files, model.config, model.target, checkpoint=checkpoint, choices=choices
        )
        if output.is_done(mark) and not again:
            return Outcome(files.id, State.DONE_BEFORE, "", output.mask)
        output.refuse_foreign()
        began_s = perf_counter()
        self.report("reading", 0, 1)
        study = open_files(files, model.target)
        self.report("reading", 1, 1)
        opening_ms = 1000 * (perf_counter() - began_s)
        result = model.segment(study, texts=choices.texts, scope=choices.scope, report=self.report)
        result = replace(result, latencies_ms={"read and align": opening_ms, **result.latencies_ms})
        mask = mask_on(result, study, choices.sequence)
        output.write(
            mask,
            preview_png(study, result, model.target.label_values),
            describe(
                result, model.config, model.target,
                grid=mask.grid, grid_of=choices.sequence or study.reference,
                images=self._images(files), checkpoint=checkpoint, fingerprint=mark,
            ),
            names=model.target.label_values,
        )  # fmt: skip
        volumes = ", ".join(f"{name} {ml:.1f} ml" for name, ml in result.volumes_ml.items())
        text = f"{volumes}; {perf_counter() - began_s:.0f} s"
        return Outcome(files.id, State.SEGMENTED, text, output.mask)

    def _example(self, files: StudyFiles) -> Outcome:
        model, path = self.model, self._output(files).example_click
        self.report("reading", 0, 1)
        study = open_files(
            with_sequences(files, self.choices.sequences, model.target), model.target
        )
        self.report("reading", 1, 1)
        click = brightest_spot(study)
        mask = model.click(study, click.sequence, foreground=[click.voxel], report=self.report)
        png = example_png(study, click, mask)
        write_atomically(path, lambda to: to.write_bytes(png))
        ml = float((mask.array > 0).sum() * mask.grid.voxel_ml)
        voxel = f"voxel {list(click.voxel)} of {click.sequence}"
        text = f"a click at {voxel} marks {ml:.1f} ml of its slice"
        return Outcome(files.id, State.EXAMPLE, text, path)

    def _images(self, files: StudyFiles) -> dict[str, str]:
        """Sequence -> its file below the source, and the number of further files."""
        root = self.source if self.source.is_dir() else self.source.parent
        shown = {}
        for name, source in files.sources.items():
            first, *others = source.files
            path = first.relative_to(root) if first.is_relative_to(root) else first
            shown[name] = readable(path) + (f" and {len(others)} more" if others else "")
        return shown


def _refuse_among_studies(out: Path, source: Path) -> None:
    """Refuse an output folder in which a later search would find masks beside their studies."""
    if source.is_dir() and source.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(
            f"the output folder {readable(out)} among the studies in {readable(source)}",
            expected="a folder elsewhere: `zeus import-labels` would take the masks for labels",
            remedy="choose for example -o zeus-masks",
        )
