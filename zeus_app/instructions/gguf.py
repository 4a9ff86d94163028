"""GGUF files: llama.cpp's format, unpacked once into the form that transformers loads quickly."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import derive, sha256_of

logger = logging.getLogger(__name__)


def unpacked(weights: Path) -> Path:
    """A folder with the GGUF's parameters in half precision, its tokenizer and configuration.

    A GGUF is dequantised tensor by tensor and its tokenizer rebuilt at every load, 15 s for 135 M
    parameters; half precision holds 4-bit steps to 1 part in 2,000 and loads in under a second.

    Args:
        weights: a GGUF file of an architecture that transformers reads.

    Raises:
        InputError: the file is no such GGUF, or there is no room beside it.
    """
    try:
        folder = weights.with_name(f"{weights.stem}-{sha256_of(weights)[:12]}-float16")
        return derive(folder, lambda into: _unpack(weights, into))
    except OSError as error:
        raise InputError(
            f"the LLM cannot be unpacked beside {weights}: {error}",
            expected="a weights folder that is writable the first time, with 2 bytes of room a"
            " parameter",
            remedy="make room or make it writable, or set ZEUS_WEIGHTS to another folder",
        ) from error


def _unpack(weights: Path, into: Path) -> None:
    from safetensors.torch import save_model

    started = time.monotonic()
    logger.info("unpacking %s, once", weights)
    tokenizer, model = _read(weights)
    tokenizer.save_pretrained(into)
    # transformers refuses to save what it read from a GGUF, though nothing is quantised now.
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    (into / "config.json").write_text(json.dumps(config, indent=1, default=str))
    save_model(model, str(into / "model.safetensors"), metadata={"format": "pt"})
    logger.info("unpacked in %.1f s: %s", time.monotonic() - started, weights)


def _read(weights: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a server's log is no terminal
    where: Any = {"gguf_file": weights.name, "local_files_only": True}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(weights.parent, **where)
        model, info = AutoModelForCausalLM.from_pretrained(
            weights.parent,
            dtype=torch.float16,
            # Else it stays in blocks, which cannot be saved, wherever the package kernels is there.
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **where,
        )
        missing = sorted(info["missing_keys"])
        if missing:
            raise ValueError(f"it lacks {len(missing)} parameters, {missing[0]} among them")
    except Exception as error:  # the reader of GGUF raises whatever it meets
        raise InputError(
            f"{weights} cannot be read as a GGUF model: {str(error)[:200]}",
            expected="the GGUF file of a causal LLM whose architecture transformers reads",
            remedy="get the file again, or give the model's folder in safetensors",
        ) from error
    return tokenizer, model
