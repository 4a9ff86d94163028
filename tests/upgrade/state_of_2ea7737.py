"""A state as commit 2ea7737 wrote it, for the studies that it found.

A folder for each sequence was a study, and so was each prefix of the files in a folder.
"""

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tests.studies.tiny_files import nifti
from zeus_app.server.context import ServerContext, open_context
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.upgrade.older_state import bring_up_to_date

MODEL = "reference-small-zeus-hybrid"
USER = "8d3adf6abf23f3a5"  # the hash of "ann"
SHAPES = {"T1": (4, 4, 3), "T2": (4, 4, 4), "FLAIR": (5, 5, 2)}
MULLER = "Muller-fa6a2313"
FILES = {
    "EGD-0001_1_T1_NIFTI": {"T1": "EGD-0001/1_T1/NIFTI/T1"},
    "EGD-0001_4_FLAIR_NIFTI": {"FLAIR": "EGD-0001/4_FLAIR/NIFTI/FLAIR"},
    "IXI-T1_IXI002": {"T1": "IXI-T1/IXI002-T1"},
    "IXI-T2_IXI002": {"T2": "IXI-T2/IXI002-T2"},
    "IXI-T1_IXI012": {"T1": "IXI-T1/IXI012-T1"},
    "IXI-T2_IXI012": {"T2": "IXI-T2/IXI012-T2"},
    "Muller": {"FLAIR": "Müller/FLAIR", "T1": "Müller/T1"},
}
"""Id of then -> sequence -> file."""
SIDES = {
    "EGD-0001": "train", "Muller": "validation",
    "IXI-T1_IXI002": "validation", "IXI-T2_IXI002": "train",
    "IXI-T1_IXI012": "validation", "IXI-T2_IXI012": "validation",
}  # fmt: skip
NOW = ["EGD-0001", "IXI002", "IXI012", MULLER]


def affine(study: str) -> npt.NDArray[np.float64]:
    """Each patient lies elsewhere, the two scans of one at one place."""
    at = np.eye(4)
    at[0, 3] = sum(map(ord, study.removeprefix("IXI-T1_").removeprefix("IXI-T2_")[:8]))
    return at


def image(root: Path, study: str, sequence: str, file: str) -> None:
    array = np.arange(np.prod(SHAPES[sequence]), dtype=np.int16).reshape(SHAPES[sequence])
    nifti(root / f"{file}.nii.gz", array, affine(study))


def mask(path: Path, study: str, sequence: str, voxels: int) -> None:
    array = np.zeros(SHAPES[sequence], np.uint8)
    array.flat[:voxels] = 1
    nifti(path, array, affine(study))


def write(path: Path, content: object, seconds: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    if seconds:
        os.utime(path, (seconds, seconds))


def write_study(target: Path, study: str, sequence: str, at: int) -> None:
    """All that commit 2ea7737 stored of a study: two versions of a label, and the rest once."""
    for number in (1, 2):
        label = target / "labels" / "final" / study / f"v000{number}"
        mask(label.with_suffix(".nii.gz"), study, sequence, voxels=at + number)
        info = {"reader": f"{study} {number}", "name": f"{study}.nii.gz", "sequence": sequence,
                "instructions": {}, "ts": 1000 * number + at}  # fmt: skip
        write(label.with_suffix(".json"), info)
    for checkpoint in ("untrained", "v0001"):
        prediction = target / MODEL / "originals" / study / checkpoint
        for name in ("union.nii.gz", f"sequences/{sequence}.nii.gz"):
            mask(prediction / name, study, sequence, voxels=at)
        answer = {
            "checkpoint": checkpoint,
            "used": [sequence],
            "answered": 1000.5 + at,
            "of": study,
        }
        write(prediction / "answer.json", answer)
    points = {"foreground": [[at, 1, 1]], "background": [], "box": None}
    step = {"labels": {"tumour": points}, "sequence": sequence, "at": [at, 1, 1]}
    write(target / "clicks" / USER / f"{study}.json", [step], 1000 + at)
    write(target / "clicks" / USER / study / "prior.nii.gz", study, 1000 + at)
    write(target / "info" / f"{study}.json", {"seen": study, study: True}, 1000 + at)
    write(target / "info" / "strategies" / f"{study}.json", {study: {"ts": at}}, 1000 + at)


def old_state(root: Path) -> None:
    """Studies, and a state of theirs."""
    target = root / "state" / "brain_tumour"
    for at, (study, files) in enumerate(FILES.items(), start=1):
        for sequence, file in files.items():
            image(root / "studies", study, sequence, file)
        write_study(target, study, next(iter(files)), at)
    write(target / "splits.json", SIDES)
    info = {
        "version": "v0001", "created": "2026-11-26T14:22:48+00:00", "epoch": 1, "score": 0.5,
        "studies": [*FILES][:4], "validation": [*FILES][4:], "fitted_to": {},
        "patients": ["EGD-0001", "IXI-T1_IXI002", "IXI-T2_IXI002"], "parent": "untrained",
        "left_out": {"IXI-T2_IXI002": "IXI-T2_IXI002: no label"}, "note": "", "epochs": [],
        "settings": {"exclude": "Muller, IXI-T1_IXI012"}, "seconds": 0.0, "identity": "",
    }  # fmt: skip
    checkpoints = Checkpoints(target / MODEL / "checkpoints")
    write(checkpoints.folder / "v0001.json", info)
    checkpoints.save(checkpoints.folder / "v0001.pt", {"w": torch.ones(2)})
    write(checkpoints.folder / "served.json", {"version": "v0001"})
    as_tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in info.items()}
    checkpoints.save(checkpoints.resume_path, {
        "identity": "x", "info": as_tuples, "model": {"w": torch.ones(2)}, "optimizer": {},
        "seconds": 1.0, "epochs": [], "run": {},
    })  # fmt: skip


def opened(root: Path, target: str = "brain_tumour") -> ServerContext:
    conf = {"target": target, "state": str(root / "state"), "decoder": "sam"}
    return open_context(str(root / "studies"), conf)


def start(root: Path, target: str = "brain_tumour") -> ServerContext:
    context = opened(root, target)
    upgrade(context)
    return context


def upgrade(context: ServerContext) -> None:
    """Bring the state up to date, as a server does at its start."""
    known = context.datastore.catalogue
    bring_up_to_date(
        context.state, known.former, studies=known.studies, pseudonyms=known.pseudonyms
    )


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def patient(context: ServerContext, study: str) -> str:
    return context.datastore.catalogue.studies[study].patient
