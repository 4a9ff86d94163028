"""A segmentation as JSON."""

import json

import numpy as np

from zeus_app.reporting.answer import answer_params, names_in
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.types import Instruction, Segmentation, Volume

SEGMENTATION = Segmentation(
    study_id="anna",
    label_map=Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4)),
    sequence_label_maps={},
    instructions=(Instruction("FLAIR", "lesion", None, "bright", "user"),),
    used=("FLAIR",),
    missing=("T2",),
    agreement={"FLAIR": 1 / 3},
    volumes_ml={"lesion": 2 / 3},
    latencies_ms={"decode": 12.34567},
    checkpoint="untrained",
    notes=("untrained model",),
)


def test_all_of_it_is_plain_json_with_four_decimals() -> None:
    params = answer_params(SEGMENTATION, ZeusConfig(target="phantom"), load_target("phantom"))
    read = json.loads(json.dumps(params, allow_nan=False))
    assert read["agreement"] == {"FLAIR": 0.3333}
    assert read["volumes_ml"] == {"lesion": 0.6667}
    assert read["latencies_ms"] == {"decode": 12.3457}
    assert read["untrained"] is True
    assert read["label_names"] == {"lesion": 1, "cyst": 2}
    assert read["instructions"] == [
        {"sequence": "FLAIR", "slice": None, "label": "lesion", "text": "bright", "model": "user",
         "notice": ""}
    ]  # fmt: skip


def test_the_labels_of_a_mask_are_those_whose_values_it_holds() -> None:
    assert names_in(np.array([[0, 2]]), {"lesion": 1, "cyst": 2}) == {"cyst": 2}
