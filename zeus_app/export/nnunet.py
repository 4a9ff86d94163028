"""Write studies and labels as a raw dataset of nnU-Net v2.

    Dataset501_phantom/dataset.json             channels, labels, number of training cases
    Dataset501_phantom/splits.json              folds that keep a patient's studies together
    Dataset501_phantom/imagesTr/<case>_0000.nii.gz, <case>_0001.nii.gz, ...
    Dataset501_phantom/labelsTr/<case>.nii.gz
    Dataset501_phantom/imagesTs/                the same for studies without a label

The rules are those of nnU-Net's documentation/dataset_format.md and verify_dataset_integrity.py:
every case has all channels, all files of a case have one grid, and labels are 0, 1, 2, ... The grid
is the reference's, turned to RAS. nnU-Net looks for splits_final.json in its preprocessed folder.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.export.folds import folds_by_patient
from zeus_app.labels.files import read_label, write_volume
from zeus_app.labels.grids import check_values, ml_outside, same_place
from zeus_app.progress import Report, silent
from zeus_app.settings.file_names import readable
from zeus_app.storage.atomic import new_folder
from zeus_app.studies.align import AlignedStudy, align_for, to_grid
from zeus_app.studies.read import read_study
from zeus_app.targets import Target
from zeus_app.targets.naming import safe_id
from zeus_app.types import StudyFiles, Volume
from zeus_app.volumes.voxels import check_right_angles

FILE_ENDING = ".nii.gz"
BACKGROUND = "background"
_RESERVED = frozenset({BACKGROUND, "ignore"})  # nnU-Net leaves voxels of "ignore" out of the loss
_STAGE = "studies"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: the dataset's folder.
        labelled, unlabelled: ids of the studies in imagesTr and in imagesTs.
        left_out: id of another study -> the reason.
        notes: study id -> what was resampled, and what that cut off.
        folds: number of folds in splits.json; 0 if there is only one patient.
    """

    folder: Path
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    folds: int


@dataclass
class _Export:
    """The state of one export."""

    target: Target
    labels: Mapping[str, Path]
    values: Mapping[str, int]
    labelled: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def dataset_folder(raw: Path, target: Target, number: int) -> Path:
    """The folder of a dataset in the folder that nnU-Net calls nnUNet_raw.

    Args:
        raw: this folder; it need not exist.
        target: gives the dataset its name.
        number: nnU-Net's id of the dataset, 1 to 999.

    Raises:
        InputError: the folder is not empty, or another dataset has this number.
    """
    folder = raw / f"Dataset{number:03d}_{safe_id(target.name)}"
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise _not_empty(folder)
    others = [path.name for path in raw.glob(f"Dataset{number:03d}_*") if path != folder]
    if others:
        raise InputError(
            f"{readable(raw)} holds dataset {number} already: {', '.join(others)}",
            expected="one dataset of each number; nnU-Net refuses two",
            remedy=f"choose another number, for example --dataset-id {number % 999 + 1}",
        )
    return folder


def consecutive_values(target: Target) -> dict[str, int]:
    """Label -> 1, 2, 3, ... in the order of the target's values.

    Raises:
        InputError: a label has a name that nnU-Net gives another meaning.
    """
    if taken := _RESERVED.intersection(target.label_names):
        raise InputError(
            f"a label named {', '.join(sorted(taken))}",
            expected="another name: nnU-Net gives this one a meaning of its own",
            remedy="rename the label in a copy of the target's YAML",
        )
    ordered = sorted(target.labels, key=lambda label: label.value)
    return {label.name: number for number, label in enumerate(ordered, start=1)}


def export_nnunet(
    studies: Mapping[str, StudyFiles],
    target: Target,
    labels: Mapping[str, Path],
    folder: Path,
    *,
    report: Report = silent,
) -> Exported:
    """Write a dataset, or nothing at all.

    Args:
        studies: the studies by id. One without a sequence of the target is left out.
        target: its sequences become channels, in its order.
        labels: study id -> its label file. A study without one becomes a test case.
        folder: the dataset's folder, from `dataset_folder`.
        report: told after each study.

    Raises:
        InputError: no labelled study can be written.
        OSError: the folder got content meanwhile, or the disk is full.
    """
    export = _Export(target, labels, consecutive_values(target))
    complete = _complete(studies, export)
    _check_labelled(labels.keys() & complete, export, studies)
    with new_folder(folder) as temporary:
        for done, (name, files) in enumerate(complete.items()):
            report(_STAGE, done, len(complete))
            try:
                _write_case(files, export, temporary)
            except InputError as error:
                export.left_out[name] = readable(error)
        report(_STAGE, len(complete), len(complete))
        _check_labelled(export.labelled, export, studies)
        patients = {name: studies[name].patient for name in export.labelled}
        folds = folds_by_patient(patients)
        _write_description(temporary, export, folds)
    return Exported(
        folder,
        tuple(export.labelled),
        tuple(export.unlabelled),
        export.left_out,
        export.notes,
        len(folds),
    )


def _complete(studies: Mapping[str, StudyFiles], export: _Export) -> dict[str, StudyFiles]:
    """The studies with all sequences. The others are noted as left out."""
    complete = {}
    for name, files in studies.items():
        missing = [one for one in export.target.sequence_names if one not in files.sources]
        if missing:
            export.left_out[name] = (
                f"it lacks {', '.join(missing)}; nnU-Net needs all channels of every case"
                " (--sequences chooses fewer)"
            )
        else:
            complete[name] = files
    return complete


def _check_labelled(
    names: Collection[str], export: _Export, studies: Mapping[str, StudyFiles]
) -> None:
    """Refuse an export without a training case. Tells the first reason and what would help."""
    if names:
        return
    known = [name for name in export.labels if name in studies]
    reasons = [f"{name}: {export.left_out[name]}" for name in known if name in export.left_out]
    had = Counter(tuple(studies[name].sources) for name in known)
    best = had.most_common(1)[0][0] if had else ()
    is_fewer = 0 < len(best) < len(export.target.sequences)
    raise InputError(
        f"no study with a label and all sequences; {len(reasons)} labelled studies are left out."
        f" {reasons[0] if reasons else ''}".strip(),
        expected="at least one labelled study to train on",
        remedy=f"choose sequences that the studies have: --sequences {','.join(best)}"
        if is_fewer
        else "import masks with `zeus import-labels`, submit labels, or repair the files",
    )


def _write_case(files: StudyFiles, export: _Export, folder: Path) -> None:
    """Write the channels and the label of a study.

    Raises:
        InputError: a sequence or the label cannot be used. Nothing is written then.
    """
    aligned, notes = _aligned(files, export.target)
    is_labelled = files.id in export.labels
    if is_labelled:
        label = _label(export.labels[files.id], export, aligned, notes)
        _write(folder / "labelsTr" / f"{files.id}{FILE_ENDING}", label)
    images = folder / ("imagesTr" if is_labelled else "imagesTs")
    for channel, name in enumerate(export.target.sequence_names):
        _write(images / f"{files.id}_{channel:04d}{FILE_ENDING}", aligned.volumes[name])
    (export.labelled if is_labelled else export.unlabelled).append(files.id)
    if notes:
        export.notes[files.id] = "; ".join(notes)


def _aligned(files: StudyFiles, target: Target) -> tuple[AlignedStudy, list[str]]:
    """All sequences of a study on one grid, and what was resampled.

    Raises:
        InputError: a sequence cannot be used.
    """
    study = read_study(files)
    if study.left_out:
        reasons = "; ".join(f"{name}: {why}" for name, why in study.left_out.items())
        raise InputError(
            f"sequences that cannot be used: {reasons}",
            expected="all channels of every case",
            remedy="repair the files, or choose other --sequences",
        )
    aligned = align_for(study, target)
    check_right_angles(aligned.grid, f"{aligned.reference} of study {files.id}")
    moved = [name for name, one in study.volumes.items() if not same_place(one.grid, aligned.grid)]
    return aligned, (
        [f"{' and '.join(moved)} resampled to {aligned.reference}'s grid"] if moved else []
    )


def _label(path: Path, export: _Export, aligned: AlignedStudy, notes: list[str]) -> Volume:
    """A label with nnU-Net's values, on the grid of the channels. Adds to `notes`."""
    drawn = read_label(path)
    check_values(drawn, tuple(export.target.label_values.values()))
    if not same_place(drawn.grid, aligned.grid):
        notes.append("label resampled by the nearest voxel to the same grid")
        if lost := ml_outside(drawn, aligned.grid):
            notes.append(f"{lost:.3g} ml of the label lie outside of it")
    placed = to_grid(drawn, aligned.grid, order=0, fill=0)
    array = np.zeros(placed.array.shape, np.uint8)
    for name, value in export.target.label_values.items():
        array[placed.array == value] = export.values[name]
        if (drawn.array == value).any() and not (placed.array == value).any():
            notes.append(f"label {name} is lost by resampling")
    return Volume(array, placed.affine_ras)


def _write(path: Path, volume: Volume) -> None:
    path.parent.mkdir(exist_ok=True)
    write_volume(path, volume)


def _write_description(folder: Path, export: _Export, folds: list[dict[str, list[str]]]) -> None:
    """Write dataset.json and splits.json."""
    target = export.target
    description = {
        "channel_names": {str(i): name for i, name in enumerate(target.sequence_names)},
        "labels": {BACKGROUND: 0, **export.values},
        "numTraining": len(export.labelled),
        "file_ending": FILE_ENDING,
        "name": target.name,
        "description": f"{target.instance}; exported by Zeus",
        "zeus_label_values": target.label_values,
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    if folds:
        (folder / "splits.json").write_text(json.dumps(folds, indent=1), encoding="utf-8")


def _not_empty(folder: Path) -> InputError:
    return InputError(
        f"{readable(folder)} is not empty",
        expected="a new or empty folder; an export never mixes with files that are there",
        remedy="choose another folder with -o, or another --dataset-id",
    )
