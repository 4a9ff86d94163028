"""From a folder or a file of weights to a frozen model of transformers, and to its name."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.instructions.gguf import unpacked
from zeus_app.instructions.precision import Precision, load_options
from zeus_app.storage.artifacts import sha256_of

WHOLE_BYTES = 1 << 30
SAMPLES = 1024
SAMPLE_BYTES = 1 << 16
_WEIGHTS = {".safetensors", ".bin"}
_BESIDE = {".json", ".model", ".jinja", ".txt"}  # configuration, tokenizer, chat template


def name_and_hash(weights: Path) -> str:
    """What these weights are called, and 12 hexadecimal digits of their content.

    A file is hashed whole up to 1 GiB. Of a larger one, for which that would take longer than the
    start of a server may, the size and 1,024 blocks of 64 KiB, evenly spread, are hashed: fine
    enough to meet every layer of a 13 GB model. `zeus weights verify` hashes every byte. A
    folder's hash is that of its files' names and hashes: parameters, configuration, tokenizer.

    Args:
        weights: a GGUF file, or a folder as transformers saves it, or a file in such a folder.

    Raises:
        InputError: there are no such weights.
    """
    if weights.suffix == ".gguf":
        return f"{weights.stem}-{_content_hash(weights)[:12]}"
    folder = folder_of(weights)
    kinds = _WEIGHTS | _BESIDE
    files = sorted(path for path in _listed(folder) if path.suffix in kinds)
    if not any(path.suffix in _WEIGHTS for path in files):
        raise InputError(
            f"{folder} holds no weights",
            expected="*.safetensors or pytorch_model*.bin with config.json and a tokenizer",
            remedy="put the model's files there, or name its folder or GGUF file",
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {_content_hash(path)}\n".encode())
    return f"{folder.name}-{digest.hexdigest()[:12]}"


def folder_of(weights: Path) -> Path:
    """The folder that a path to weights means: itself, or the one it lies in."""
    return weights if weights.is_dir() else weights.parent


def load_causal(weights: Path, *, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """The tokenizer and the frozen model, on its device.

    Args:
        weights: as for `name_and_hash`. Weights of the pickled kind are read as tensors alone.
        device: where the model goes.
        precision: in which numbers.

    Raises:
        InputError: the files are not there, are no causal LLM, or lack some of its parameters.
    """
    # Imported here: transformers takes seconds to import.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = unpacked(weights) if weights.suffix == ".gguf" else folder_of(weights)
    options = load_options(precision, device)
    return load_frozen(folder, AutoTokenizer, AutoModelForCausalLM, options, kind="causal LLM")


def load_frozen(
    folder: Path,
    words: Any,
    model_class: Any,
    options: Mapping[str, Any],
    *,
    kind: str,
) -> tuple[Any, Any]:
    """What turns text into tokens, and the model, frozen; from local files alone.

    Args:
        folder: as transformers saves a model.
        words: AutoTokenizer or AutoProcessor.
        model_class: the transformers class that loads the model.
        options: of `precision.load_options`.
        kind: what is expected in the folder, for messages.

    Raises:
        InputError: the folder holds no such model, or not all of its parameters.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a server's log is no terminal
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = words.from_pretrained(folder, **local)
        # Outside inference mode: gradients must be able to pass through these parameters later.
        with torch.inference_mode(False):
            model, info = model_class.from_pretrained(
                folder, weights_only=True, output_loading_info=True, **local, **options
            )
    except Exception as error:  # transformers raises whatever it met in the files
        raise InputError(
            f"{folder} cannot be loaded as a {kind}: {str(error)[:300]}",
            expected=f"the files of a {kind} as transformers saves it, tokenizer included",
            remedy="check that all its files are there",
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} parameters, {missing[0]} among them",
            expected=f"every parameter of the {kind} that its config.json describes",
            remedy="get the model's files again; config.json and weights must belong together",
        )
    return tokenizer, model.eval().requires_grad_(False)


def skeleton(architecture: Mapping[str, Any]) -> nn.Module:
    """A causal LLM without its numbers, to count parameters before any weights are there.

    Args:
        architecture: what a config.json of transformers says; `model_type` is required.

    Returns:
        The model on torch's meta device: shapes, and no memory.

    Raises:
        InputError: transformers knows no such causal LLM.
    """
    from transformers import AutoModelForCausalLM

    return meta_model(architecture, AutoModelForCausalLM)


def meta_model(architecture: Mapping[str, Any], model_class: Any) -> nn.Module:
    """A model of one of transformers' Auto classes on the meta device.

    Raises:
        InputError: transformers knows no such model of that class.
    """
    from transformers import AutoConfig

    settings = dict(architecture)
    model_type = str(settings.pop("model_type", ""))
    try:
        config = AutoConfig.for_model(model_type, **settings)
        with torch.device("meta"):
            model: nn.Module = model_class.from_config(config)
    except Exception as error:  # a wrong value fails wherever the model's code first meets it
        raise InputError(
            f"model_type {model_type!r} with {settings}: {str(error)[:200]}",
            expected=f"the config.json of a model that transformers' {model_class.__name__} knows",
            remedy="copy it from the model's repository",
        ) from error
    return model.eval().requires_grad_(False)


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _content_hash(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size <= WHOLE_BYTES:
            return sha256_of(path)
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as stream:
            for i in range(SAMPLES):
                stream.seek(i * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                digest.update(stream.read(SAMPLE_BYTES))
        return digest.hexdigest()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}",
            expected="the weights of an LLM",
            remedy="run `zeus weights list` to see which weights are there, and get them",
        ) from error
