"""Of what several studies may claim, the grid tells whose it is, or the log that it is unknown."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import dicom_series, nifti
from tests.upgrade.state_of_2ea7737 import (
    MODEL,
    MULLER,
    content,
    image,
    opened,
    patient,
    start,
    upgrade,
    write,
    write_study,
)
from zeus_app.training.splits import read_sides


def two_of_one_name(root: Path, shapes: Mapping[str, str], drawn_on: str) -> None:
    """Müller and Muller, with an image of a sequence each, and a label of the id that both had."""
    for folder, sequence in shapes.items():
        image(root / "studies", "Muller", sequence, f"{folder}/{sequence}")
    target = root / "state" / "brain_tumour"
    write_study(target, "Muller", drawn_on, 1)
    write(target / "splits.json", {"Muller": "train", "bob": "validation"})
    info = {"studies": ["Muller"], "patients": ["Muller"]}
    write(target / MODEL / "checkpoints" / "v0001.json", info)


@pytest.mark.parametrize(("drawn_on", "owner"), [("T1", MULLER), ("FLAIR", "Muller")])
def test_of_two_patients_with_one_former_id_a_label_goes_to_the_one_on_whose_images_it_lies(
    tmp_path: Path, drawn_on: str, owner: str
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "FLAIR"}, drawn_on)
    context = start(tmp_path)
    assert context.datastore.get_labeled_images() == [owner]
    assert context.datastore.predictions.newest(owner) is not None


def test_where_it_cannot_be_known_the_log_tells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "T1"}, "T1")
    context = start(tmp_path)
    assert context.datastore.get_labeled_images() == ["Muller"]
    assert f"the studies Muller, {MULLER} had the id Muller in earlier versions" in caplog.text
    caplog.clear()
    start(tmp_path)
    assert caplog.text == ""


def test_a_model_may_have_been_trained_on_each_of_two_patients_with_one_former_id(
    tmp_path: Path,
) -> None:
    two_of_one_name(tmp_path, {"Müller": "T1", "Muller": "FLAIR"}, "T1")
    context = start(tmp_path)
    of_each = [patient(context, study) for study in ("Muller", MULLER)]
    path = context.state.checkpoints / "v0001.json"
    info = json.loads(path.read_text())
    assert info == {"studies": ["Muller", MULLER], "patients": sorted(of_each)}
    assert {read_sides(context.state.splits)[one] for one in of_each} == {"train"}
    # What is stored from now on names each study by its own id.
    write(path, {"studies": ["Muller"], "patients": [of_each[0]]})
    start(tmp_path)
    assert json.loads(path.read_text()) == {"studies": ["Muller"], "patients": [of_each[0]]}


def test_of_two_examinations_with_one_patient_id_the_grid_tells_whose_label_it_is(
    tmp_path: Path,
) -> None:
    names = ("x.dcm", "y.dcm", "z.dcm")
    high = [(0, 0, z) for z in (100, 103, 106)]
    folder = tmp_path / "studies"
    dicom_series(folder, "T1", study_uid="1.8", PatientID="P 7")
    dicom_series(folder, "T1", study_uid="1.9", PatientID="P 7", positions=high, names=names)
    context = opened(tmp_path)
    catalogue = context.datastore.catalogue
    on_high = {
        study: grid
        for study in catalogue.studies
        if (grid := catalogue.grid(catalogue.resolve(study))).affine_ras[2, 3] == 100
    }
    ((study, grid),) = on_high.items()
    label = context.state.labels / "final" / "P_7" / "v0001"
    nifti(label.with_suffix(".nii.gz"), np.ones(grid.shape, np.uint8), grid.affine_ras)
    write(label.with_suffix(".json"), {"name": "P_7.nii.gz", "ts": 5})
    upgrade(context)
    assert context.datastore.get_labeled_images() == [study]
    assert not [name for name in content(context.state.root) if "P_7" in name]
