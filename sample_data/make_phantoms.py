"""Make the sample studies: small heads on T2 and FLAIR, with true masks.

    python sample_data/make_phantoms.py OUT [--cases 20] [--held-back 4]

Writes OUT/studies/<case>/<case>_{t2,flair}.nii.gz, OUT/labels/<case>.nii.gz for every case, and
last OUT/manifest.json, which lists the cases for training and the held-back cases. The same
arguments make the same voxels. A complete folder stays as it is.
"""

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from phantom import LABELS, SEQUENCES, Array, draw_patient, scan

VERSION = 2  # raise it when the phantoms change, so that old folders are made again
ORIENTATIONS = ("RAS", "LPS", "LAS")
OTHER_GRID_CASE = 2  # the FLAIR of this case has another grid
Shape = tuple[int, int, int]
Manifest = dict[str, Any]  # as in the JSON


def make_affine(shape: Shape, spacing_mm: tuple[float, float, float], shift_mm: float) -> Array:
    """RAS affine of a grid centred `shift_mm` off the origin along every axis."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = shift_mm - (np.array(shape) - 1) / 2 * spacing_mm
    return affine


def voxel_centres(shape: Shape, affine: Array) -> Array:
    """(X, Y, Z, 3) RAS mm."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def write(path: Path, content: bytes, out: Path) -> None:
    """Write a file atomically. The unfinished file lies outside the studies."""
    part = out / f".part-{path.name}"
    part.write_bytes(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, path)


def nifti_bytes(array: npt.NDArray[np.generic], affine: Array, orientation: str) -> bytes:
    """A .nii.gz in the given orientation, without a time stamp: equal voxels give equal bytes."""
    image = nib.Nifti1Image(array, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    codes = nib.orientations.axcodes2ornt(orientation)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), codes))
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def single_sequence_dice(
    truth: npt.NDArray[np.uint8], shown: dict[str, npt.NDArray[np.uint8]]
) -> dict[str, dict[str, float]]:
    """Label -> sequence -> Dice between the true mask and the part that the sequence shows."""
    return {
        label: {
            sequence: round(
                float(2 * np.sum((mask == value) & (truth == value)))
                / float(np.sum(mask == value) + np.sum(truth == value)),
                4,
            )
            for sequence, mask in shown.items()
        }
        for label, value in LABELS.items()
    }


def make_case(number: int, out: Path) -> Manifest:
    """Draw, scan and write one case. Returns its entry in the manifest."""
    name = f"phantom_{number:02d}"
    orientation = ORIENTATIONS[number % len(ORIENTATIONS)]
    shape: Shape = (128, 128, 12)
    affine = make_affine(shape, (1.5, 1.5, 5.0), 0.0)
    points = voxel_centres(shape, affine)
    patient = draw_patient(1000 + number, points)
    files: dict[str, str] = {}
    for index, sequence in enumerate(SEQUENCES):
        grid = (shape, affine, points)
        if number == OTHER_GRID_CASE and sequence == "FLAIR":
            coarse: Shape = (104, 112, 11)
            coarse_affine = make_affine(coarse, (1.8, 1.7, 5.5), 1.0)
            grid = (coarse, coarse_affine, voxel_centres(coarse, coarse_affine))
        voxels = scan(patient, sequence, grid[2], 5000 + 10 * number + index)
        files[sequence] = f"studies/{name}/{name}_{sequence.lower()}.nii.gz"
        write(out / files[sequence], nifti_bytes(voxels, grid[1], orientation), out)
    truth = patient.truth(points)
    write(out / "labels" / f"{name}.nii.gz", nifti_bytes(truth, affine, orientation), out)
    shown = {sequence: patient.shown(points, sequence) for sequence in SEQUENCES}
    return {
        "id": name,
        "orientation": orientation,
        "sequences": files,
        "label": f"labels/{name}.nii.gz",
        "single_sequence_dice": single_sequence_dice(truth, shown),
    }


def files_of(manifest: Manifest) -> set[str]:
    """All files that a manifest names."""
    return {
        path for case in manifest["cases"] for path in (*case["sequences"].values(), case["label"])
    }


def read_manifest(out: Path) -> Manifest | None:
    """The manifest of an earlier run, if there is one."""
    path = out / "manifest.json"
    manifest: Manifest | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return manifest


def caps(cases: list[Manifest]) -> dict[str, float]:
    """Label -> mean over cases of the best single-sequence Dice, the limit for one sequence."""
    return {
        label: round(
            float(np.mean([max(case["single_sequence_dice"][label].values()) for case in cases])),
            4,
        )
        for label in LABELS
    }


def make_phantoms(out: Path, *, cases: int, held_back: int) -> Manifest:
    """Fill `out`, unless it is already filled from the same arguments; returns the manifest.

    Raises:
        ValueError: no case would be left for training.
    """
    if not 0 <= held_back < cases:
        raise ValueError(
            f"--held-back {held_back} of --cases {cases} leaves no case for training;"
            f" use a smaller number, for example --held-back {max(0, min(4, cases - 1))}"
        )
    old = read_manifest(out)
    settings = {"version": VERSION, "target": "phantom", "settings": [cases, held_back]}
    if old and settings.items() <= old.items() and all((out / f).exists() for f in files_of(old)):
        return old
    out.mkdir(parents=True, exist_ok=True)
    lines = [make_case(number, out) for number in range(cases)]
    names = [str(line["id"]) for line in lines]
    manifest = {
        **settings,
        "learn": names[: cases - held_back],
        "held_back": names[cases - held_back :],
        "best_single_sequence_dice": caps(lines),
        "cases": lines,
    }
    for stale in files_of(old) - files_of(manifest) if old else ():
        (out / stale).unlink(missing_ok=True)
        if not any((out / stale).parent.iterdir()):
            (out / stale).parent.rmdir()
    write(out / "manifest.json", json.dumps(manifest, indent=1).encode(), out)
    return manifest


def main() -> None:
    """Read the command line, make the phantoms, and print the limits of a single sequence."""
    parser = argparse.ArgumentParser(description="Make the sample studies.")
    parser.add_argument("out", type=Path, help="folder to fill")
    parser.add_argument("--cases", type=int, default=20, help="how many studies (default 20)")
    parser.add_argument(
        "--held-back",
        type=int,
        default=4,
        help="how many of them to hold back from training (default 4)",
    )
    options = parser.parse_args()
    try:
        manifest = make_phantoms(options.out, cases=options.cases, held_back=options.held_back)
    except ValueError as error:
        parser.error(str(error))
    learn, held_back = len(manifest["learn"]), len(manifest["held_back"])
    print(f"{options.out}: {learn} studies for training, {held_back} held back")
    for label, cap in manifest["best_single_sequence_dice"].items():
        print(f"  {label}: best single-sequence Dice at most {cap:.3f}")


if __name__ == "__main__":
    main()
