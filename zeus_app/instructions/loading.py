"""Loading frozen models of transformers from local files, and naming their weights."""

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
from zeus_app.types import GIB

WHOLE_BYTES = GIB
"""Files up to this size are hashed whole."""
SAMPLES = 1024
SAMPLE_BYTES = 1 << 16
_WEIGHTS = {".safetensors", ".bin"}
_OTHERS = {".json", ".model", ".jinja", ".txt"}  # configuration, tokenizer, chat template


def name_and_hash(weights: Path) -> str:
    """The name of these weights, and 12 hexadecimal digits of their hash.

    A file up to 1 GiB is hashed whole. Hashing a larger file would delay the start of the server,
    so its size and 1,024 evenly spread blocks of 64 KiB are hashed. In a model of 13 GB they touch
    every layer. `zeus weights verify` hashes every byte. The hash of a folder covers the names and
    hashes of its files: parameters, configuration, tokenizer.

    Args:
        weights: a GGUF file, or a folder as transformers saves it, or a file in such a folder.

    Raises:
        InputError: the file or folder holds no weights.
    """
    if weights.suffix == ".gguf":
        return f"{weights.stem}-{_content_hash(weights)[:12]}"
    folder = folder_of(weights)
    kinds = _WEIGHTS | _OTHERS
    files = sorted(path for path in _listed(folder) if path.suffix in kinds)
    if not any(path.suffix in _WEIGHTS for path in files):
        raise InputError(
            f"{folder} holds no weights",
            expected="*.safetensors or pytorch_model*.bin with config.json and a tokenizer",
            remedy="put the model's files there, or name another folder or a GGUF file",
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {_content_hash(path)}\n".encode())
    return f"{folder.name}-{digest.hexdigest()[:12]}"


def folder_of(weights: Path) -> Path:
    """The path itself if it is a folder, else the folder that holds the file."""
    return weights if weights.is_dir() else weights.parent


def load_causal(weights: Path, *, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """The tokenizer and the frozen model, on its device.

    Args:
        weights: as for `name_and_hash`. Only tensors are read from pickled weights.
        device: device of the model.
        precision: precision of its parameters.

    Raises:
        InputError: the files are missing, are not a causal LLM, or lack some of its parameters.
    """
    # Imported here: transformers takes seconds to import.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = unpacked(weights) if weights.suffix == ".gguf" else folder_of(weights)
    options = load_options(precision, device)
    return load_frozen(folder, AutoTokenizer, AutoModelForCausalLM, options, kind="causal LLM")


def load_frozen(
    folder: Path,
    tokenizer_class: Any,
    model_class: Any,
    options: Mapping[str, Any],
    *,
    kind: str,
) -> tuple[Any, Any]:
    """The tokenizer (or processor) and the frozen model, from local files only.

    Args:
        folder: as transformers saves a model.
        tokenizer_class: AutoTokenizer or AutoProcessor.
        model_class: the Auto class of transformers that loads the model.
        options: from `precision.load_options`.
        kind: kind of model, for error messages.

    Raises:
        InputError: the folder does not hold such a model, or lacks some of its parameters.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # the server's log is not a terminal
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = tokenizer_class.from_pretrained(folder, **local)
        # Gradients cannot pass through parameters that are made in inference mode.
        with torch.inference_mode(False):
            model, info = model_class.from_pretrained(
                folder, weights_only=True, output_loading_info=True, **local, **options
            )
    except Exception as error:  # transformers raises many kinds of errors
        raise InputError(
            f"{folder} cannot be loaded as a {kind}: {str(error)[:300]}",
            expected=f"the files of a {kind} as transformers saves it, tokenizer included",
            remedy="download the files of the model again into this folder",
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} parameters, for example {missing[0]}",
            expected=f"every parameter of the {kind} that its config.json describes",
            remedy="download config.json and the weights again from the same model",
        )
    return tokenizer, model.eval().requires_grad_(False)


def skeleton(architecture: Mapping[str, Any]) -> nn.Module:
    """A causal LLM without weights, to count its parameters.

    Args:
        architecture: contents of a config.json of transformers; `model_type` is required.

    Returns:
        The model on torch's meta device: it has shapes and takes no memory.

    Raises:
        InputError: transformers has no such causal LLM.
    """
    from transformers import AutoModelForCausalLM

    return meta_model(architecture, AutoModelForCausalLM)


def meta_model(architecture: Mapping[str, Any], model_class: Any) -> nn.Module:
    """A model of an Auto class of transformers, on the meta device.

    Raises:
        InputError: transformers has no such model of that class.
    """
    from transformers import AutoConfig

    settings = dict(architecture)
    model_type = str(settings.pop("model_type", ""))
    try:
        config = AutoConfig.for_model(model_type, **settings)
        with torch.device("meta"):
            model: nn.Module = model_class.from_config(config)
    except Exception as error:  # a wrong value can raise any error in the model's code
        raise InputError(
            f"model_type {model_type!r} with {settings}: {str(error)[:200]}",
            expected=f"the config.json of a model that transformers' {model_class.__name__} knows",
            remedy="copy config.json from the model's repository",
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
            remedy="list missing weights with `zeus weights list`, then run `zeus weights get`",
        ) from error
