"""Targets: which labels to segment, in which sequences. One YAML file per target."""

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from zeus_app.errors import InputError
from zeus_app.settings import presets
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.plain_names import check_plain
from zeus_app.settings.registry import lookup

PlainName = Annotated[str, AfterValidator(check_plain)]
OWN_FOLDERS = frozenset({"cache", "sessions", "logs", "pacs"})
"""Folders of the state folder that belong to no target."""
_DICOM_TEXT = r"^[^\\\x00-\x1f\x7f]+$"
"""A backslash separates values in DICOM files."""


class Code(BaseModel):
    """A concept with a code, as DICOM PS3.16 and SNOMED CT have them.

    Attributes:
        value: the code, for example "10200004".
        meaning: what the code means, for example "Liver".
        scheme: who defined the code: SCT is SNOMED CT, DCM DICOM, NCIt the NCI Thesaurus.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    value: str = Field(min_length=1, max_length=16, pattern=_DICOM_TEXT)
    meaning: str = Field(min_length=1, max_length=64, pattern=_DICOM_TEXT)
    scheme: str = Field("SCT", min_length=1, max_length=16, pattern=_DICOM_TEXT)


class Label(BaseModel):
    """One structure of a target.

    Attributes:
        name: name that clients show, e.g. "right kidney".
        value: value in label maps, 1 to 255. 0 is the background.
        instance: name in the LLM's prompt; if empty, `name`.
        import_values: values of this label in the masks of `zeus import-labels`; if empty, `value`.
        category: its category in DICOM files, of DICOM CID 7150. With `type`, or neither.
        type: what it is in DICOM files, for example of DICOM CID 7151. DICOM files of labels
            without codes have a code made of the name; see `dicom/codes.py`.
        type_modifier: which of several it is, for example right or left (DICOM CID 244).
        region: the part of the body that it lies in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: int = Field(ge=1, le=255)
    instance: str = ""
    import_values: tuple[int, ...] = ()
    category: Code | None = None
    type: Code | None = None
    type_modifier: Code | None = None
    region: Code | None = None

    @model_validator(mode="after")
    def _codes_are_complete(self) -> "Label":
        if (self.category is None) != (self.type is None):
            raise ValueError(f"{self.name} has one of category and type; expected both or neither")
        if self.type_modifier is not None and self.type is None:
            raise ValueError(f"{self.name} has a type_modifier and no type; expected both")
        return self

    @property
    def prompt_name(self) -> str:
        """The instance name that goes into the prompt."""
        return self.instance or self.name

    @property
    def foreign_values(self) -> tuple[int, ...]:
        """Values of an imported mask that become this label."""
        return self.import_values or (self.value,)


class Sequence(BaseModel):
    """One MR sequence of a target.

    Attributes:
        name: the field's name, e.g. "T1Gd". It is also the second part of an id `study/sequence`.
        prompt_name: name in the LLM's prompt, e.g. "MRI-T1-Gd". The YAML key `spoken` is the old
            spelling: accepted, deprecated.
        aliases: words in file names or series descriptions that mean this sequence, lower case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: PlainName
    prompt_name: str = Field(validation_alias=AliasChoices("prompt_name", "spoken"))
    aliases: tuple[str, ...]


class Target(BaseModel):
    """Labels to segment, the sequences to use, and the order of preference for the reference.

    Attributes:
        name: name of the target and of its folder in the state folder; the file name of a shipped
            YAML.
        instance: the target in words, e.g. "abdominal organs".
        labels: K labels, in the order of the model's channels.
        sequences: M sequences, in the order of the model's branches.
        reference: names of sequences whose grid a study may be segmented on, the preferred first.
        mask_aliases: words in file names that mean a mask of this target. Such files are never
            images; `zeus import-labels` imports them.
        groups: name -> labels whose union is scored too, e.g. "whole tumour".
        import_conventions: name of a data set's convention -> label -> its values in the masks of
            this data set. If there are any, `zeus import-labels` must name one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PlainName
    instance: str
    labels: tuple[Label, ...] = Field(min_length=1)
    sequences: tuple[Sequence, ...] = Field(min_length=1)
    reference: tuple[str, ...] = ()
    mask_aliases: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    import_conventions: dict[str, dict[str, tuple[int, ...]]] = {}

    def __hash__(self) -> int:
        # Pydantic's own fails on the dictionaries.
        return hash((self.name, self.labels, self.sequences, self.reference, self.mask_aliases))

    @field_validator("name")
    @classmethod
    def _has_a_folder_of_its_own(cls, name: str) -> str:
        if name.lower() in OWN_FOLDERS:
            raise ValueError(f"{name} is a folder of the state folder; expected another name")
        return name

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
        for name, labels in (*self.groups.items(), *self.import_conventions.items()):
            if unknown := set(labels) - set(self.label_names):
                raise ValueError(f"{name} names unknown labels: {sorted(unknown)}")
        for name, meanings in self.import_conventions.items():
            foreign = [value for values in meanings.values() for value in values]
            if len(set(foreign)) != len(foreign):
                raise ValueError(f"{name}: values repeat: {foreign}")
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

    def reading(self, convention: str | None) -> "Target":
        """This target with the values of a data set's masks as import values.

        Raises:
            InputError: the convention is unknown, or none is chosen where there are several.
        """
        if convention is None and not self.import_conventions:
            return self
        if convention is None:
            raise InputError(
                f"masks of {self.name}, whose values mean other labels in other data sets",
                expected=f"a convention: {', '.join(self.import_conventions)}",
                remedy=f"add for example --convention {next(iter(self.import_conventions))}; the"
                " target's YAML explains them",
            )
        values = lookup("convention", convention, self.import_conventions)
        labels = tuple(
            label.model_copy(update={"import_values": values[label.name]})
            for label in self.labels
            if label.name in values
        )
        return self.model_copy(update={"labels": labels})

    def only(self, names: tuple[str, ...]) -> "Target":
        """This target with some of its sequences only."""
        by_name = {sequence.name: sequence for sequence in self.sequences}
        chosen = tuple(lookup("sequence", name, by_name) for name in names)
        reference = tuple(name for name in self.reference if name in names)
        return self.model_copy(update={"sequences": chosen, "reference": reference})

    def reference_of(self, present: tuple[str, ...]) -> str:
        """The sequence among `present` whose grid a study is segmented on."""
        for name in (*self.reference, *self.sequence_names):
            if name in present:
                return name
        raise InputError(
            f"a study with no sequence of the target (it has: {', '.join(present) or 'none'})",
            expected=f"at least one of {', '.join(self.sequence_names)}",
            remedy="add the word that your files use to the aliases in the target's YAML, or choose"
            " another target",
        )


def shipped_targets() -> dict[str, Path]:
    """Name -> YAML file of the targets that ship with Zeus."""
    return presets.shipped(__name__)


def load_target(name_or_path: str) -> Target:
    """Read a shipped target by name, or any target by the path of its YAML.

    Raises:
        UnknownNameError: no shipped target has this name.
        InputError: the YAML is not a valid target; the message names the field.
    """
    return presets.load("target", name_or_path, __name__, Target)


def target_of(config: ZeusConfig) -> Target:
    """The target that a config names, with the sequences that it chooses."""
    target = load_target(config.target)
    return target.only(config.chosen_sequences) if config.chosen_sequences else target
