"""Small archives in exactly the layouts of MSD, CHAOS, BraTS and nnU-Net.

Grids are anisotropic and stored in unusual orders, and marks have no symmetry, so that a flip or
a swap of axes changes every expected value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.uid import generate_uid

from tests.dicom.mr_series import Plan, mr_image

SHAPE = (9, 7, 5)
LPS_OF_MSD = np.array([[-0.75, 0, 0, 12], [0, -1.25, 0, 30], [0, 0, 4, -8], [0, 0, 0, 1.0]])
"""Voxels of 0.75×1.25×4 mm, stored to the left and back as MSD's are."""
BRAIN_CHANNELS = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
BRAIN_LABELS = {
    "0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour",
}  # fmt: skip
GREY_OF = {1: 63, 2: 126, 3: 189, 4: 252}
"""Value of an organ in the target `abdomen` -> CHAOS's grey value."""


def marks(shape: Sequence[int] = SHAPE, values: Sequence[int] = (1, 2, 3)) -> npt.NDArray[np.uint8]:
    """Boxes without symmetry: the n-th of 2×n×2 voxels from (n, 0, n - 1) on, over those before."""
    array = np.zeros(tuple(shape), np.uint8)
    for number, value in enumerate(values, start=1):
        array[number : number + 2, :number, number - 1 : number + 1] = value
    return array


def picture(
    shape: Sequence[int] = SHAPE, channel: int = 0, case: str = ""
) -> npt.NDArray[np.int16]:
    """Voxels that tell their index: 100 x + 10 y + z; channels differ by 1000, and cases too."""
    x, y, z = np.indices(tuple(shape))
    number = sum(map(ord, case))
    return np.asarray(1000 * channel + 100 * x + 10 * y + z + number, np.int16)


def mask_of(case: str, values: Sequence[int] = (1, 2, 3)) -> npt.NDArray[np.uint8]:
    """`marks`, with a voxel that differs from case to case."""
    array = marks(values=values)
    array[-1, sum(map(ord, case)) % SHAPE[1], -1] = values[0]
    return array


def save(
    path: Path, array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64] = LPS_OF_MSD
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def describe(folder: Path, **content: Any) -> Path:
    """Write dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dataset.json"
    path.write_text(json.dumps(content))
    return path


def msd_brain(root: Path, cases: Sequence[str] = ("BRATS_001", "BRATS_002")) -> Path:
    """Task01: 4-D images, one test case, and macOS's files beside."""
    folder = root / "Task01_BrainTumour"
    for name in (*cases, "BRATS_485"):
        is_test = name == "BRATS_485"
        place = folder / ("imagesTs" if is_test else "imagesTr") / f"{name}.nii.gz"
        save(place, np.stack([picture(channel=c, case=name) for c in range(4)], axis=-1))
        place.with_name(f"._{place.name}").write_bytes(b"\0\5\x16\7Mac OS X")
        if not is_test:
            save(folder / "labelsTr" / f"{name}.nii.gz", mask_of(name))
    (folder / "labelsTr" / f"._{cases[0]}.nii.gz").write_bytes(b"\0\5\x16\7Mac OS X")
    describe(
        folder,
        name="BRATS",
        tensorImageSize="4D",
        modality=BRAIN_CHANNELS,
        labels=BRAIN_LABELS,
        numTraining=len(cases),
        numTest=1,
        training=[
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in cases
        ],
        test=["./imagesTs/BRATS_485.nii.gz"],
    )
    return folder


def msd_prostate(root: Path) -> Path:
    """Task05: T2 and ADC in one file; 1 peripheral, 2 transition zone."""
    folder = root / "Task05_Prostate"
    save(
        folder / "imagesTr" / "prostate_00.nii.gz",
        np.stack([picture(channel=c) for c in range(2)], axis=-1),
    )
    save(folder / "labelsTr" / "prostate_00.nii.gz", marks(values=(1, 2)))
    describe(
        folder,
        name="PROSTATE",
        modality={"0": "T2", "1": "ADC"},
        labels={"0": "background", "1": "PZ", "2": "TZ"},
        numTraining=1,
        training=[
            {"image": "./imagesTr/prostate_00.nii.gz", "label": "./labelsTr/prostate_00.nii.gz"}
        ],
        test=[],
    )
    return folder


def brats(
    root: Path,
    case: str = "BraTS20_Training_001",
    *,
    words: Sequence[str] = ("_flair", "_t1", "_t1ce", "_t2"),
    mask: str | None = "_seg",
    values: Sequence[int] = (1, 2, 4),
) -> Path:
    """One case. Its n-th word is the n-th channel of `picture`."""
    folder = root / case
    for channel, word in enumerate(words):
        save(folder / f"{case}{word}.nii.gz", picture(channel=channel, case=case))
    if mask:
        save(folder / f"{case}{mask}.nii.gz", mask_of(case, values))
    return folder


def nnunet(root: Path, cases: Sequence[str] = ("p1", "p2"), **changes: Any) -> Path:
    """A raw dataset of version 2 with the labels of the target `abdomen` in another order."""
    folder = root / "Dataset501_abdomen"
    for name in cases:
        for channel in range(2):
            save(
                folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz",
                picture(channel=channel, case=name),
            )
        save(folder / "labelsTr" / f"{name}.nii.gz", mask_of(name, (1, 2, 3, 4)))
    content = {
        "channel_names": {"0": "T2-SPIR", "1": "T1-in"},
        "labels": {"background": 0, "spleen": 1, "liver": 2, "left kidney": 3, "right kidney": 4},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    describe(folder, **(content | changes))
    return folder


T2_PLAN = Plan(shape=(14, 11, 6), description="T2W_SPIR")
T1_PLAN = Plan(
    shape=(12, 10, 5), step_mm=-5.5, spacing_mm=(1.5, 0.5), description="T1_DUAL",
    origin_lps=(-18.0, 20.0, 40.0),
)  # fmt: skip


@dataclass(frozen=True)
class ChaosPlan:
    """How a CHAOS patient is written.

    Attributes:
        t2, t1: geometry of the series. Slices of T2-SPIR go up, those of T1-DUAL down.
        are_named_alike: whether PNG files have the names of DICOM files.
    """

    t2: Plan = T2_PLAN
    t1: Plan = T1_PLAN
    are_named_alike: bool = True


def chaos(
    root: Path,
    patient: str = "1",
    *,
    plan: ChaosPlan | None = None,
    part: str = "Train_Sets",
) -> Path:
    """A patient of CHAOS: in-phase images have even numbers, images out of phase odd ones."""
    plan = plan or ChaosPlan()
    folder = root / part / "MR" / patient
    write_series(folder / "T2SPIR" / "DICOM_anon", plan.t2, [1 + n for n in range(6)])
    dual = folder / "T1DUAL" / "DICOM_anon"
    write_series(dual / "InPhase", plan.t1, [2 + 2 * n for n in range(5)])
    write_series(dual / "OutPhase", replace(plan.t1), [1 + 2 * n for n in range(5)])
    if part == "Train_Sets":
        for protocol, shape, numbers in (
            ("T2SPIR", plan.t2.shape, [1 + n for n in range(6)]),
            ("T1DUAL", plan.t1.shape, [2 + 2 * n for n in range(5)]),
        ):
            names = [f"IMG-0004-{n:05d}" if plan.are_named_alike else f"slice_{n}" for n in numbers]
            write_ground(folder / protocol / "Ground", organs(shape), names)
    return folder


def organs(shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Four organs (columns, rows, images in the order in which they were taken)."""
    return marks(shape, (1, 2, 3, 4))


def write_series(folder: Path, plan: Plan, numbers: Sequence[int]) -> None:
    """DICOM images in the order of `plan`, with these Instance Numbers, also in their names.

    Voxels of an organ have similar values: 5000 times its value, and the index as in `picture`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid()
    pixels = 5000 * organs(plan.shape).astype(int) + picture(plan.shape)
    for number, instance in enumerate(numbers):
        path = folder / f"IMG-0004-{instance:05d}.dcm"
        image = mr_image(path, plan, number, uid)
        image.InstanceNumber = instance
        image.PixelData = pixels[:, :, number].T.astype(np.uint16).tobytes()
        pydicom.dcmwrite(path, image, write_like_original=False)


def write_ground(
    folder: Path,
    labels: npt.NDArray[np.uint8],
    names: Sequence[str],
    greys: Mapping[int, int] = GREY_OF,
) -> None:
    """One PNG for each image, rows first, with CHAOS's grey values."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = np.zeros_like(labels)
    for value, grey in greys.items():
        shown[labels == value] = grey
    for number, name in enumerate(names):
        Image.fromarray(np.ascontiguousarray(shown[:, :, number].T)).save(folder / f"{name}.png")
