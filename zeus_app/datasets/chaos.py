"""The MR part of CHAOS (Kavur et al. 2021).

    Train_Sets/MR/1/T1DUAL/DICOM_anon/InPhase/IMG-0004-00002.dcm
    Train_Sets/MR/1/T1DUAL/DICOM_anon/OutPhase/IMG-0004-00001.dcm
    Train_Sets/MR/1/T1DUAL/Ground/IMG-0004-00002.png        for both phases, named as InPhase
    Train_Sets/MR/1/T2SPIR/DICOM_anon/IMG-0002-00001.dcm
    Train_Sets/MR/1/T2SPIR/Ground/IMG-0002-00001.png
    Test_Sets/MR/4/...                                       the same without Ground

T1-DUAL and T2-SPIR lie on different grids, and each has a truth of its own (`chaos_truth.py`). The
truth of a case is that of the target's preferred reference, T2-SPIR. CT is not read.
"""

from collections.abc import Iterator
from pathlib import Path

from zeus_app.datasets.chaos_truth import PngTruth
from zeus_app.datasets.dataset import TEST, TRAIN, Case, DataProblem, Dataset, Truth
from zeus_app.dicom.series import is_dicom
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.targets import Target, load_target
from zeus_app.types import VolumeSource

_T1, _T2 = "T1DUAL", "T2SPIR"
_FOLDERS = {
    "T2-SPIR": (_T2, "DICOM_anon"),
    "T1-in": (_T1, "DICOM_anon/InPhase"),
    "T1-out": (_T1, "DICOM_anon/OutPhase"),
}
"""Sequence -> the folder of its protocol, and that of its DICOM files in it."""
_ABOVE = ("", "MR", "*/MR", "*/*/MR")
"""Where the folders of patients may lie below the folder that the user names."""


def recognise(folder: Path) -> bool:
    """Whether folders of patients with T1DUAL or T2SPIR lie in the folder, or in MR below it."""
    return next(_patient_folders(folder), None) is not None


def read(folder: Path, target: Target | None, convention: str | None) -> Dataset:
    """Read the MR cases; see `kinds.open_dataset`. Without a target: the four organs."""
    chosen = target or load_target("abdomen")
    chosen.reading(convention)
    cases: list[Case] = []
    problems: list[DataProblem] = []
    for path in _patient_folders(folder):
        if sources := _sources(path, chosen):
            cases.append(_case(path, folder, sources, chosen))
        else:
            problems.append(DataProblem(path.name, "no DICOM files of a sequence", (path,)))
    return Dataset(
        kind="chaos",
        name=folder.resolve().name,
        folder=folder,
        target=chosen,
        convention=convention,
        sequences=tuple(name for name in chosen.sequence_names if name in _FOLDERS),
        cases=tuple(sorted(cases, key=lambda case: (len(case.id), case.id))),
        problems=tuple(problems),
    )


def _patient_folders(folder: Path) -> Iterator[Path]:
    for above in _ABOVE:
        for root in sorted(folder.glob(above)) if above else [folder]:
            for path in sorted(root.iterdir()) if root.is_dir() else ():
                if (path / _T1).is_dir() or (path / _T2).is_dir():
                    yield path


def _sources(patient: Path, target: Target) -> dict[str, VolumeSource]:
    found: dict[str, VolumeSource] = {}
    for name in target.sequence_names:
        if name in _FOLDERS and (files := _dicom_files(patient.joinpath(*_FOLDERS[name]))):
            found[name] = DicomSeriesSource(files)
    return found


def _dicom_files(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(path))


def _case(patient: Path, root: Path, sources: dict[str, VolumeSource], target: Target) -> Case:
    truths: dict[str, Truth] = {}
    for name, source in sources.items():
        protocol, _ = _FOLDERS[name]
        masks = tuple(sorted((patient / protocol / "Ground").glob("[!.]*.png")))
        if masks:
            named_after = _dual_images(patient, masks) if protocol == _T1 else source.files
            truths[name] = PngTruth(source.files, named_after, masks, target)
    in_test = "Test_Sets" in (root.name, *patient.relative_to(root).parts)
    return Case(
        id=patient.name,
        patient=patient.name,
        sources=sources,
        reference=target.reference_of(tuple(sources)),
        truths=truths,
        part=TEST if in_test else TRAIN,
    )


def _dual_images(patient: Path, masks: tuple[Path, ...]) -> tuple[Path, ...]:
    """The images of T1-DUAL that the masks are named after, else those in phase."""
    phases = [_dicom_files(patient.joinpath(*_FOLDERS[name])) for name in ("T1-in", "T1-out")]
    stems = {path.stem for path in masks}
    named = (images for images in phases if {path.stem for path in images} == stems)
    return next(named, phases[0] or phases[1])
