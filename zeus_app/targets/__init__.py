"""Targets: what to segment and in which sequences. One YAML file a target."""

from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from zeus_app.errors import InputError
from zeus_app.settings import presets
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.registry import lookup


class Label(BaseModel):
    """One structure of a target.

    Attributes:
        name: what clients show, e.g. "right kidney".
        value: its value in label maps, 1 to 255; 0 is the background.
        instance: what the prompt calls it; the name when absent.
        import_values: values that mean this label in foreign masks (`zeus import-labels`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: int = Field(ge=1, le=255)
    instance: str = ""
    import_values: tuple[int, ...] = ()

    @property
    def prompt_name(self) -> str:
        """The instance name that goes into the prompt."""
        return self.instance or self.name

    @property
    def foreign_values(self) -> tuple[int, ...]:
        """Values of an imported mask that become this label."""
        return self.import_values or (self.value,)


class Sequence(BaseModel):
    """One MR sequence a target looks at.

    Attributes:
        name: the field's name, e.g. "T1Gd"; also the id behind the slash in `study/sequence`.
        prompt_name: what the prompt calls it, e.g. "MRI-T1-Gd". The YAML key `spoken` is the old
            spelling: accepted, deprecated.
        aliases: tokens in file names or series descriptions that mean this sequence, lower case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    prompt_name: str = Field(validation_alias=AliasChoices("prompt_name", "spoken"))
    aliases: tuple[str, ...]


class Target(BaseModel):
    """What to segment: labels, the sequences wanted, and which of them is the reference.

    Attributes:
        name: the YAML's name.
        instance: the target as a whole, in words.
        labels: K labels, in the order of the model's channels.
        sequences: M wanted sequences, in the order of the model's branches.
        reference: sequence names, the most wanted reference first.
        mask_aliases: tokens in a file name that mean "a mask of this target" when labels are
            imported; such files are never sequences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    instance: str
    labels: tuple[Label, ...] = Field(min_length=1)
    sequences: tuple[Sequence, ...] = Field(min_length=1)
    reference: tuple[str, ...] = ()
    mask_aliases: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "Target":
        for kind, names in (("label", self.label_names), ("sequence", self.sequence_names)):
            if len(set(names)) != len(names):
                raise ValueError(f"{kind} names repeat: {names}")
        values = [label.value for label in self.labels]
        if len(set(values)) != len(values):
            raise ValueError(f"label values repeat: {values}")
        unknown = set(self.reference) - set(self.sequence_names)
        if unknown:
            raise ValueError(f"reference names unknown sequences: {sorted(unknown)}")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """The K label names, in channel order."""
        return tuple(label.name for label in self.labels)

    @property
    def label_values(self) -> dict[str, int]:
        """Label name -> value in label maps, in channel order."""
        return {label.name: label.value for label in self.labels}

    @property
    def sequence_names(self) -> tuple[str, ...]:
        """The M sequence names, in branch order."""
        return tuple(sequence.name for sequence in self.sequences)

    def only(self, names: tuple[str, ...]) -> "Target":
        """This target looking at a subset of its sequences."""
        by_name = {sequence.name: sequence for sequence in self.sequences}
        kept = tuple(lookup("sequence", name, by_name) for name in names)
        reference = tuple(name for name in self.reference if name in names)
        return self.model_copy(update={"sequences": kept, "reference": reference})

    def reference_of(self, present: tuple[str, ...]) -> str:
        """The sequence whose grid a study is read on, among those present."""
        for name in (*self.reference, *self.sequence_names):
            if name in present:
                return name
        raise InputError(
            f"a study with none of the wanted sequences (it has: {', '.join(present) or 'none'})",
            expected=f"at least one of {', '.join(self.sequence_names)}",
            remedy="check the aliases in the target's YAML, or choose another target",
        )


def shipped_targets() -> dict[str, Path]:
    """Name -> YAML of the targets that come with Zeus."""
    return presets.shipped(__name__)


def load_target(name_or_path: str) -> Target:
    """Read a shipped target by name, or a user's own by the path of its YAML.

    Raises:
        UnknownNameError: no such target.
        InputError: the YAML does not describe a target; the message names the field.
    """
    return presets.load("target", name_or_path, __name__, Target)


def target_of(config: ZeusConfig) -> Target:
    """The target a config names, looking at the sequences it chose."""
    target = load_target(config.target)
    return target.only(config.chosen_sequences) if config.chosen_sequences else target
