"""The folder of a run: settings, split, weights and the course of the training."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from zeus_app.baselines.llm4seg import LayerChoice, build
from zeus_app.baselines.network import Network
from zeus_app.errors import InputError
from zeus_app.images2d.pixels import Classes
from zeus_app.images2d.split import Split
from zeus_app.storage.atomic import write_atomically, write_text_atomically

CHANNELS = 3
DIVISOR = 16
"""The network halves the edge four times."""
TRAINED, CHOSE, NEW = "trained on", "chose the weights", "new"
"""Roles of an image in a training."""
_ROLES = TypeAdapter(dict[str, str])


class RunSettings(BaseModel):
    """What a run's weights belong to.

    Attributes:
        kind: kind of the LLM layer, a key of `llm4seg.KINDS`.
        llm: name or path of the LLM.
        layer: index of the layer; None without a layer.
        seed: seed of random weights, of the split and of the order of images.
        classes: grey values of the classes in the masks; empty for one class.
        edge_px: edge of the images that the network sees, in pixels.
        images: how the run found its images, for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    llm: str
    layer: int | None
    seed: int = 0
    classes: tuple[int, ...] = ()
    edge_px: int = Field(256, ge=DIVISOR, multiple_of=DIVISOR)
    images: str = ""

    @property
    def choice(self) -> LayerChoice:
        """The layer at the bottleneck."""
        return LayerChoice(self.kind, self.llm, self.layer, self.seed)

    def network(self) -> Network:
        """The network with fresh weights; the same for the same seed.

        Raises:
            InputError: the LLM's weights are missing.
        """
        torch.manual_seed(self.seed)
        return build(CHANNELS, Classes(self.classes).count, self.choice)


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes the files of a run, each completely or not at all."""

    path: Path

    @property
    def weights(self) -> Path:
        """The weights with the best validation so far."""
        return self.path / "weights.safetensors"

    def check_free(self, *, force: bool) -> None:
        """Refuse a folder that holds a run already.

        Raises:
            InputError: there is a run, and `force` is false.
        """
        if (self.path / "run.json").exists() and not force:
            raise InputError(
                f"{self.path} holds a run already",
                expected="a new folder",
                remedy="give another --out, or --force to replace the run",
            )

    def begin(self, settings: RunSettings, split: Split, roles: Mapping[str, str]) -> None:
        """Write settings and split, and remove the weights of a run that is replaced.

        Args:
            settings: what the weights will belong to.
            split: names of the images.
            roles: SHA-256 of an image's file -> its role in the training.
        """
        self.weights.unlink(missing_ok=True)
        write_text_atomically(self.path / "images.json", json.dumps(dict(roles), indent=1))
        split.save(self.path / "split.json")
        write_text_atomically(self.path / "run.json", settings.model_dump_json(indent=1))

    def save_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Write the weights of the network, without the frozen layer."""
        from safetensors.torch import save

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        write_atomically(self.weights, lambda path: path.write_bytes(save(tensors)))

    def settings(self) -> RunSettings:
        """The settings of the run. Raises InputError if the folder holds no run."""
        try:
            return RunSettings.model_validate_json((self.path / "run.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{self.path} holds no run: {str(error)[:200]}",
                expected="the folder that zeus llm4seg train wrote",
                remedy="give the folder of --out, or train first",
            ) from error

    def roles(self) -> dict[str, str]:
        """SHA-256 of an image's file -> its role in the training.

        Raises:
            InputError: the file cannot be read.
        """
        path = self.path / "images.json"
        try:
            return _ROLES.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{path} cannot be read: {str(error)[:200]}",
                expected="hashes of the images of a training, which zeus llm4seg train writes",
                remedy="restore the file, or train again",
            ) from error

    def trained(self) -> Network:
        """The network with the run's weights, for inference.

        Raises:
            InputError: there is no run, no weights yet, or they are damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        network = self.settings().network()
        try:
            network.load_state_dict(load_file(self.weights))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InputError(
                f"the weights of {self.path} cannot be read: {str(error)[:300]}",
                expected="weights.safetensors, which a training writes after its first validation",
                remedy="wait for the training, or train again",
            ) from error
        return network.eval()


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of equal keys as CSV, completely or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())
