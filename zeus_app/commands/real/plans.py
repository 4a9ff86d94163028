"""What is run on each folder of real MRI: patients, models, training times.

Every training takes the default recipe of its model (`settings.recipes`), as a user's does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zeus_app.targets import Target

UNET = "U-Net"
"""Name in the tables of the residual U-Net, which the setting `model` calls resunet."""


@dataclass(frozen=True)
class Plan:
    """The runs on one folder of real studies.

    Attributes:
        target: name of the target, and of the folder below ZEUS_REAL_DATA.
        folds: the studies that each fold scores, one study a patient, every labelled study in one
            fold. The other labelled studies are trained on.
        train_s: wall-clock training time of Zeus in each fold, in seconds. The U-Net needs no
            preparation, so it trains as long as Zeus prepared and trained.
        sequences: comma-separated sequences to use; empty for all of the target's.
        alone: the sequence that also gets a model of its own; empty for none.
        smoke: studies that are segmented but not scored, because their labels are machine-made.
        lesions: whether lesions are counted, because the label has separate parts.
    """

    target: str
    folds: tuple[tuple[str, ...], ...]
    train_s: float
    sequences: str = ""
    alone: str = ""
    smoke: tuple[str, ...] = ()
    lesions: bool = False

    def models(self) -> dict[str, dict[str, str]]:
        """Name of each model in the tables -> its settings."""
        sequences = {"sequences": self.sequences} if self.sequences else {}
        models = {"Zeus": {"model": "zeus", "fusion": "hybrid", **sequences}}
        if self.alone:
            alone = {"model": "zeus", "fusion": "hybrid", "sequences": self.alone}
            models[f"Zeus on {self.alone} alone"] = alone
        models[UNET] = {"model": "resunet", "fusion": "early", **sequences}
        return models


_BRATS = tuple(f"brats_2013_pat000{n}_1" for n in (3, 4, 5, 6))

PLANS: Mapping[str, Plan] = {
    plan.target: plan
    for plan in (
        Plan(
            "abdomen",
            (
                ("chaos_37", "chaos_38", "chaos_5", "chaos_8"),
                ("chaos_1", "chaos_2", "chaos_10", "chaos_15"),
                ("chaos_19", "chaos_20", "chaos_21"),
                ("chaos_32", "chaos_33", "chaos_34"),
            ),
            train_s=240,
            sequences="T2-SPIR",
        ),
        Plan(
            "brain_tumour",
            tuple((patient,) for patient in _BRATS),
            train_s=115,
            sequences="FLAIR,T1Gd",
            alone="FLAIR",
            smoke=("TCGA-DU-7294",),
            lesions=True,
        ),
        Plan(
            "ms_lesion",
            (("patient19",), ("patient07",)),
            train_s=150,
            alone="FLAIR",
            lesions=True,
        ),
        Plan("prostate", (), train_s=0, smoke=("ProstateX-0000",)),
    )
}


def with_exchanged_names(target: Target) -> Target:
    """The target with each label prompted by the name of the next label; values stay.

    The last label gets the first one's name.
    """
    names = [label.prompt_name for label in target.labels]
    pairs = zip(target.labels, [*names[1:], names[0]], strict=True)
    labels = tuple(label.model_copy(update={"instance": name}) for label, name in pairs)
    return target.model_copy(update={"labels": labels})
