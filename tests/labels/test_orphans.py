"""Labels whose study is not listed stay, and are told with what to do."""

from pathlib import Path

import numpy as np

from zeus_app.labels.orphans import orphaned_labels
from zeus_app.labels.versions import LabelHistory
from zeus_app.types import Volume


def test_labels_of_no_study_are_told_and_removed_ones_are_not(tmp_path: Path) -> None:
    labels = LabelHistory(tmp_path)
    for study in ("anna", "bob", "carl"):
        labels.save(study, "final", Volume(np.ones((2, 2, 2), np.uint8), np.eye(4)), {})
    labels.remove("carl", "final")
    (orphan,) = orphaned_labels(labels, {"anna"}, remedy="Look it up")
    assert (orphan.id, orphan.files) == ("bob", (tmp_path / "final" / "bob",))
    assert orphan.reason == "labels of no study (final): no study is called bob. Look it up"
