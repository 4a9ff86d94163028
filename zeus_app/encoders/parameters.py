"""Read published checkpoints: only the needed keys, strictly, and no pickle that runs code."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import sha256_of

State = dict[str, torch.Tensor]
ModuleT = TypeVar("ModuleT", bound=nn.Module)

# Parameter files of a transformers repository, the preferred one first.
REPOSITORY_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def read_state(weights: Path, *prefixes: str) -> State:
    """Read the tensors whose keys start with one of the prefixes.

    Keys that end in position_ids are left out. They are constants that older versions of
    transformers saved and newer ones compute.

    Args:
        weights: a .safetensors file, a file of torch.save, the .index.json of a checkpoint in
            several files, or the folder that holds one of `REPOSITORY_FILES`.
        prefixes: of the keys to read; without one, all keys.

    Raises:
        InputError: the file cannot be read, or holds no such key.
    """
    try:
        state = _read_any(_parameters_file(weights), prefixes or ("",))
    except Exception as error:  # unpickling raises many kinds
        raise unfit(weights, f"cannot be read: {error}") from error
    if not state:
        raise unfit(weights, f"holds no key that starts with {' or '.join(prefixes)}")
    return state


def digest_of(weights: Path) -> str:
    """First 12 hexadecimal digits of a checkpoint's SHA-256; several files are hashed together.

    Raises:
        InputError: a file of the checkpoint is missing.
    """
    try:
        file = _parameters_file(weights)
        if file.suffix != ".json":
            return sha256_of(file)[:12]
        joined = "".join(sha256_of(shard) for shard in sorted(_shards(file)))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise unfit(weights, f"cannot be read: {error}") from error
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def split(state: Mapping[str, torch.Tensor], weights: Path, *prefixes: str) -> list[State]:
    """Split a state by the prefixes of its keys, and remove the prefixes.

    Args:
        state: tensors by key.
        weights: the checkpoint, for the message.
        prefixes: no prefix begins with another.

    Raises:
        InputError: a key begins with no prefix.
    """
    parts: list[State] = [
        {k.removeprefix(prefix): value for k, value in state.items() if k.startswith(prefix)}
        for prefix in prefixes
    ]
    unknown = sorted(key for key in state if not key.startswith(prefixes))
    if unknown:
        raise unfit(weights, f"holds unknown keys: {', '.join(unknown)}")
    return parts


def fill(module: ModuleT, state: Mapping[str, torch.Tensor], weights: Path) -> ModuleT:
    """Load a state into a module strictly: no key may be missing or left over.

    Args:
        module: any module; the loaded values become float32.
        state: its parameters and buffers.
        weights: the checkpoint, for the message.

    Raises:
        InputError: a key is missing, unknown or of another shape.
    """
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise unfit(weights, f"does not fit {type(module).__name__}: {error}") from error
    return module


def load_pretrained(model_class: Any, config: Any, state: State, weights: Path) -> Any:
    """Build a transformers model from a state. transformers renames the keys of older versions.

    Args:
        model_class: a class derived from transformers' PreTrainedModel.
        config: its configuration.
        state: its parameters, with the names of any version of transformers.
        weights: the checkpoint, for the message.

    Returns:
        The model, float32, on the CPU.

    Raises:
        InputError: a key is missing, unknown or of another shape.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a server's log is no terminal
    try:
        model, loading = model_class.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # so that the report below names them
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises many kinds
        raise unfit(weights, f"does not fit {model_class.__name__}: {error}") from error
    wrong = {kind: sorted(map(str, keys)) for kind, keys in loading.items() if keys}
    if wrong:
        raise unfit(weights, f"does not fit {model_class.__name__}: {wrong}")
    return model


def read_config(config_class: Any, path: Path, default: Mapping[str, Any] | None = None) -> Any:
    """A transformers configuration from a JSON file, or from constants if there is no file.

    Args:
        config_class: a class derived from transformers' PreTrainedConfig.
        path: the JSON file.
        default: the constants; None makes the file mandatory.

    Raises:
        InputError: the file is missing, or holds another configuration.
    """
    if default is not None and not path.is_file():
        return config_class(**default)
    values = read_json(path)
    if values.get("model_type", config_class.model_type) != config_class.model_type:
        raise unfit(path, f"configures a model of type {values['model_type']}")
    try:
        return config_class(**values)
    except Exception as error:  # transformers validates with exceptions of its own
        raise unfit(path, f"is no configuration of {config_class.model_type}: {error}") from error


def check_vocabulary(words: int, config: Any, folder: Path) -> None:
    """Refuse the tokenizer of another network. Without its files, transformers makes an empty one.

    Args:
        words: size of the tokenizer's vocabulary.
        config: of the network, with vocab_size.
        folder: of the tokenizer, for the message.

    Raises:
        InputError: the vocabularies of tokenizer and network differ in size.
    """
    if words != config.vocab_size:
        raise unfit(
            folder,
            f"holds a tokenizer of {words} words, not the {config.vocab_size} of the network",
        )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: the file is missing or holds no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unfit(path, f"cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise unfit(path, "holds no JSON object")
    return values


def unfit(path: Path, why: str) -> InputError:
    """The error for a checkpoint file that cannot be used."""
    return InputError(
        f"{path} {why[:300]}",
        expected="the checkpoint as its authors publish it, with its small files beside it",
        remedy="fetch it again, for example with `zeus weights get clip-vit-b-16`; `zeus weights"
        " list` has the names",
    )


def _parameters_file(weights: Path) -> Path:
    if not weights.is_dir():
        return weights
    for name in REPOSITORY_FILES:
        if (weights / name).is_file():
            return weights / name
    raise FileNotFoundError(f"no {', '.join(REPOSITORY_FILES)} in it")


def _shards(index: Path) -> set[Path]:
    return {index.with_name(name) for name in read_json(index)["weight_map"].values()}


def _read_any(file: Path, prefixes: tuple[str, ...]) -> State:
    if file.suffix == ".json":
        names = read_json(file)["weight_map"]
        shards = {name for key, name in names.items() if key.startswith(prefixes)}
        return {
            key: value
            for name in sorted(shards)
            for key, value in _read_any(file.with_name(name), prefixes).items()
        }
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as tensors:
            return {key: tensors.get_tensor(key) for key in _chosen(tensors.keys(), prefixes)}
    # Only zip archives can be mapped into memory. Files from before torch 1.6 are none.
    mapped = zipfile.is_zipfile(file)
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    return {key: state[key] for key in _chosen(state, prefixes)}


def _chosen(keys: Any, prefixes: tuple[str, ...]) -> list[str]:
    return [key for key in keys if key.startswith(prefixes) and not key.endswith("position_ids")]
