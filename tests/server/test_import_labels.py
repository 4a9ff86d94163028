from pathlib import Path

import numpy as np

from tests.server.conftest import affine, lesion_file, make_study, save
from zeus_app.config import ZeusConfig
from zeus_app.server.label_files import read_label
from zeus_app.server.label_history import LabelHistory
from zeus_app.server.labels import import_into_store
from zeus_app.server.workplace import open_workplace


def test_masks_become_final_labels_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    for seed, study in enumerate(("alpha", "charlie")):
        make_study(tmp_path / "studies", study, seed)
    lesion_file(tmp_path / "studies" / "alpha" / "alpha_seg.nii.gz", value=2)
    unknown = np.full((24, 20, 6), 9, np.uint8)
    save(tmp_path / "studies" / "charlie" / "charlie_seg.nii.gz", unknown, affine())
    config = ZeusConfig(target="phantom", state=tmp_path / "state")
    told = dict(import_into_store(tmp_path / "studies", config))
    assert told["alpha"].endswith("alpha_seg.nii.gz")
    assert told["charlie"].startswith("left out: ")
    newest = LabelHistory(tmp_path / "state" / "phantom" / "labels").newest("alpha", "final")
    assert newest is not None and read_label(newest.path).array.max() == 2


def test_a_mask_beside_a_study_is_no_label_until_it_is_imported(tmp_path: Path) -> None:
    make_study(tmp_path / "studies", "alpha", 1)
    lesion_file(tmp_path / "studies" / "alpha" / "alpha_seg.nii.gz")
    conf = {"target": "phantom", "state": str(tmp_path / "state")}
    opened = open_workplace(str(tmp_path / "studies"), conf)
    assert opened.datastore.get_labeled_images() == []
