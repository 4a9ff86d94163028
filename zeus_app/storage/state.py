"""The state folder: everything that Zeus stores, apart from the studies.

    <root>/<target>/labels/                          submitted labels, with all their versions
    <root>/<target>/results/                         DICOM SEG and SR of labels and predictions
    <root>/<target>/segmentations.json               DICOM SEGs of users that were found in the PACS
    <root>/<target>/splits.json                      each patient's side: train or validation
    <root>/<target>/uploads/                         images that clients uploaded
    <root>/<target>/volumes/                         NIfTI copies of DICOM series and channels
    <root>/<target>/clicks/                          each user's clicks, scribbles and masks
    <root>/<target>/info/                            what clients stored about an image
    <root>/<target>/study_ids                        the rules by which its studies have their ids
    <root>/<target>/<profile>-<model>-<fusion>/      checkpoints and predictions. An instruction
                                                     mode other than text, the read-out and
                                                     chosen sequences are appended to the name
    <root>/pacs/                                     the list of a PACS, headers and whole series;
                                                     may be deleted
    <root>/cache/                                    embeddings and texts; may be deleted
    <root>/sessions/                                 images of client sessions; they expire
    <root>/logs/                                     the server's log
    <root>/pseudonyms.key                            the key of the patients' pseudonyms, mode 0600

Labels belong to the target alone, so a change of the model loses none. Where studies have become
one, a name with `+former-1` or the like holds what was older: clicks, notes and predictions.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from zeus_app.settings.config import ZeusConfig, default_state_folder
from zeus_app.settings.file_names import check_utf8
from zeus_app.settings.plain_names import is_one_component


@dataclass(frozen=True)
class StateFolder:
    """The paths of one server's state. This class creates and reads no file.

    Attributes:
        root: the state folder.
        target, profile, model, fusion: names of these settings; each set has its own folder.
        variant: further settings: an instruction mode other than text, a decoder other than SAM's,
            and the sequences if only some of the target's were chosen.
    """

    root: Path
    target: str
    profile: str
    model: str
    fusion: str
    variant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a name that would lead out of the folder."""
        for name in (self.target, self.profile, self.model, self.fusion, *self.variant):
            if not is_one_component(name):
                raise ValueError(f"the name {name!r} leads out of the state folder")

    @property
    def of_target(self) -> Path:
        """The folder of this target."""
        return self.root / self.target

    @property
    def study_ids(self) -> Path:
        """The file that says by which rules the studies of this state have their ids."""
        return self.of_target / "study_ids"

    @property
    def labels(self) -> Path:
        """Submitted labels: labels/<tag>/<study>/v0001.nii.gz and so on."""
        return self.of_target / "labels"

    @property
    def results(self) -> Path:
        """DICOM objects that Zeus made: results/<UID of the study>/<UID>.dcm, and JSON."""
        return self.of_target / "results"

    @property
    def segmentations(self) -> Path:
        """The DICOM SEGs that were found in the PACS: one JSON file."""
        return self.of_target / "segmentations.json"

    @property
    def splits(self) -> Path:
        """The JSON file with each patient's side of the split."""
        return self.of_target / "splits.json"

    @property
    def uploads(self) -> Path:
        """Images that clients uploaded."""
        return self.of_target / "uploads"

    @property
    def volumes(self) -> Path:
        """NIfTI copies of DICOM series and of channels, for downloads."""
        return self.of_target / "volumes"

    @property
    def clicks(self) -> Path:
        """Each user's clicks, scribbles and uploaded initial masks."""
        return self.of_target / "clicks"

    @property
    def info(self) -> Path:
        """One JSON file per study: what clients and strategies stored about it."""
        return self.of_target / "info"

    @property
    def _by_model(self) -> Path:
        """Folder of this profile, model, fusion and variant."""
        name = "-".join([self.profile, self.model, self.fusion, *self.variant])
        return self.of_target / name

    @property
    def checkpoints(self) -> Path:
        """Versions of the trainable weights."""
        return self._by_model / "checkpoints"

    @property
    def predictions(self) -> Path:
        """Zeus's own masks, in a folder with MONAI Label's name for them."""
        return self._by_model / "originals"

    @property
    def predictions_of_all_models(self) -> tuple[Path, ...]:
        """The existing prediction folders of this target, of every profile, model and fusion."""
        return tuple(self.of_target.glob(f"*/{self.predictions.name}"))

    @property
    def training(self) -> Path:
        """The JSON file with the progress of the newest training."""
        return self._by_model / "training.json"

    @property
    def cache(self) -> Path:
        """Embeddings and texts of all targets. Zeus computes missing entries again."""
        return self.root / "cache"

    @property
    def pacs(self) -> Path:
        """What came from a PACS. Zeus asks for missing parts again."""
        return self.root / "pacs"

    @property
    def logs(self) -> Path:
        """The log of the server that has this state folder."""
        return self.root / "logs"

    @property
    def sessions(self) -> Path:
        """Images of client sessions."""
        return self.root / "sessions"


def state_folder(config: ZeusConfig, *, target: str, studies: Path) -> StateFolder:
    """The state folder of a configuration.

    Args:
        config: the settings. `config.state` is the root; without it, the root is a default folder
            named after `studies`.
        target: the target's name; `config.target` may be a path.
        studies: the studies folder.

    Raises:
        InputError: the path of the state folder or of the studies folder is no UTF-8.
    """
    root = config.state or default_state_folder(studies)
    check_utf8(root.absolute())
    mode = () if config.instruction == "text" else (config.instruction,)
    decoder = ("readout",) if config.model == "zeus" and config.chosen_decoder != "sam" else ()
    return StateFolder(
        root=root,
        target=target,
        profile=Path(config.profile).stem,
        model=config.model,
        fusion=config.fusion,
        variant=(*mode, *decoder, *config.chosen_sequences),
    )


def with_decoder(config: ZeusConfig, *, target: str, studies: Path) -> ZeusConfig:
    """The settings with decoder "auto" resolved for an existing state folder.

    Until version 0.2.0, servers trained SAM's mask decoder. A server goes on with such versions
    until the read-out has one of its own.

    Args:
        config: the settings.
        target: the target's name.
        studies: the studies folder.
    """
    if config.decoder != "auto":
        return config
    with_sam = config.model_copy(update={"decoder": "sam"})
    old, new = (
        any(state_folder(choice, target=target, studies=studies).checkpoints.glob("v*.json"))
        for choice in (with_sam, config)
    )
    return with_sam if old and not new else config


def folder_name(study: str) -> str:
    """A study id or sequence name as one path component: percent-encoded, no leading dot."""
    name = quote(study, safe=" ")
    return name.replace(".", "%2E", 1) if name.startswith(".") else name
