"""GGUF files (llama.cpp's format), unpacked once into a folder that transformers loads quickly."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import make_artifact, sha256_of

logger = logging.getLogger(__name__)


def unpacked(weights: Path) -> Path:
    """A folder with the GGUF's parameters in float16, its tokenizer and configuration.

    transformers dequantises a GGUF tensor by tensor and rebuilds its tokenizer at every load. This
    takes 15 s for 135 M parameters. The folder loads in under a second. float16 represents 4-bit
    values with a relative error below 1/2,000.

    Args:
        weights: a GGUF file of an architecture that transformers reads.

    Raises:
        InputError: the file is not such a GGUF, or the folder beside it cannot be written.
    """
    try:
        folder = weights.with_name(f"{weights.stem}-{sha256_of(weights)[:12]}-float16")
        return make_artifact(folder, lambda into: _unpack(weights, into))
    except OSError as error:
        raise InputError(
            f"the LLM cannot be unpacked beside {weights}: {error}",
            expected="a weights folder that is writable the first time, with 2 bytes of free disk"
            " per parameter",
            remedy="free disk space, make the folder writable, or set ZEUS_WEIGHTS to another one",
        ) from error


def _unpack(weights: Path, into: Path) -> None:
    from safetensors.torch import save_model

    started = time.monotonic()
    logger.info("unpacking %s, once", weights)
    tokenizer, model = _read(weights)
    tokenizer.save_pretrained(into)
    # transformers refuses to save a model from a GGUF, although it is dequantised by now.
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    (into / "config.json").write_text(json.dumps(config, indent=1, default=str))
    save_model(model, str(into / "model.safetensors"), metadata={"format": "pt"})
    logger.info("unpacked in %.1f s: %s", time.monotonic() - started, weights)


def _read(weights: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # the server's log is not a terminal
    where: Any = {"gguf_file": weights.name, "local_files_only": True}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(weights.parent, **where)
        model, info = AutoModelForCausalLM.from_pretrained(
            weights.parent,
            dtype=torch.float16,
            # With the package kernels installed, weights would otherwise stay in GGUF blocks.
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **where,
        )
        missing = sorted(info["missing_keys"])
        if missing:
            raise ValueError(f"{len(missing)} parameters are missing, for example {missing[0]}")
    except Exception as error:  # the GGUF reader raises many kinds of errors
        raise InputError(
            f"{weights} cannot be read as a GGUF model: {str(error)[:200]}",
            expected="the GGUF file of a causal LLM whose architecture transformers reads",
            remedy="download the file again, or name a folder with the model in safetensors",
        ) from error
    return tokenizer, model
