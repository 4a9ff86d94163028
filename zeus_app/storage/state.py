"""Where everything lies that Zeus remembers: one folder, apart from the studies.

    <root>/<target>/labels/                          submitted labels, every version of each
    <root>/<target>/splits.json                      who is learnt from and who is held back
    <root>/<target>/uploads/                         images that clients sent
    <root>/<target>/volumes/                         NIfTI copies of what lies in no file of its own
    <root>/<target>/clicks/                          what each user clicked in each study
    <root>/<target>/info/                            what clients noted about an image
    <root>/<target>/<profile>-<model>-<fusion>/      checkpoints, and Zeus's own answers; where
                                                     chosen, -embedding and sequences' names follow
    <root>/cache/                                    embeddings and texts; may be deleted
    <root>/sessions/                                 images of client sessions; they expire

Labels are named by target alone, so that no change of model loses them.
"""

from dataclasses import dataclass
from pathlib import Path

from zeus_app.settings.config import ZeusConfig, default_state_folder


@dataclass(frozen=True)
class StateFolder:
    """The paths of one server's state. Nothing is made or read here.

    Attributes:
        root: the folder all state lies in.
        target, profile, model, fusion: names that keep what differs apart.
        variant: what else was chosen: the instruction mode, some of the sequences.
    """

    root: Path
    target: str
    profile: str
    model: str
    fusion: str
    variant: tuple[str, ...] = ()

    @property
    def _by_target(self) -> Path:
        return self.root / self.target

    @property
    def labels(self) -> Path:
        """Submitted labels: labels/<tag>/<study>/v0001.nii.gz and so on."""
        return self._by_target / "labels"

    @property
    def splits(self) -> Path:
        """The JSON that remembers each patient's side."""
        return self._by_target / "splits.json"

    @property
    def uploads(self) -> Path:
        """Images that clients added."""
        return self._by_target / "uploads"

    @property
    def volumes(self) -> Path:
        """NIfTI copies of DICOM series and of channels, for downloads."""
        return self._by_target / "volumes"

    @property
    def clicks(self) -> Path:
        """What each user clicked, scribbled and uploaded to start from."""
        return self._by_target / "clicks"

    @property
    def info(self) -> Path:
        """One JSON an image: what strategies and clients noted about it."""
        return self._by_target / "info"

    @property
    def learnt(self) -> Path:
        """What belongs to this profile, model and fusion alone."""
        name = "-".join([self.profile, self.model, self.fusion, *self.variant])
        return self._by_target / name

    @property
    def checkpoints(self) -> Path:
        """Versions of the trainable weights."""
        return self.learnt / "checkpoints"

    @property
    def originals(self) -> Path:
        """Zeus's own answers, each with the checkpoint that made it."""
        return self.learnt / "originals"

    @property
    def training(self) -> Path:
        """The JSON in which a running training tells where it is."""
        return self.learnt / "training.json"

    @property
    def cache(self) -> Path:
        """Embeddings and texts of all targets; whatever is missing is made again."""
        return self.root / "cache"

    @property
    def sessions(self) -> Path:
        """Images of client sessions."""
        return self.root / "sessions"


def state_folder(config: ZeusConfig, *, target: str, studies: Path) -> StateFolder:
    """The state of a configuration.

    Args:
        config: settings; `config.state` wins over the default place.
        target: the target's name (`config.target` may be a path).
        studies: the studies folder; names the default place.
    """
    mode = () if config.instruction == "text" else (config.instruction,)
    return StateFolder(
        root=config.state or default_state_folder(studies),
        target=target,
        profile=Path(config.profile).stem,
        model=config.model,
        fusion=config.fusion,
        variant=(*mode, *config.chosen_sequences),
    )
