"""The precision of a frozen LLM's parameters, and the options for loading it in transformers."""

from importlib.util import find_spec
from typing import Any, Literal

import torch

from zeus_app.devices import has_fast_bfloat16
from zeus_app.errors import InputError

Precision = Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve(precision: Precision, device: torch.device) -> Precision:
    """Resolve "auto": bfloat16 if the device computes it in hardware, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def load_options(precision: Precision, device: torch.device) -> dict[str, Any]:
    """Options of `from_pretrained` that load a model on `device` in `precision`.

    "8bit" and "4bit" are LLM.int8 and NF4 of bitsandbytes; they compute in half precision.

    Raises:
        InputError: "8bit" or "4bit" without a CUDA device or without bitsandbytes.
    """
    chosen = resolve(precision, device)
    if chosen in _DTYPES:
        return {"dtype": _DTYPES[chosen], "device_map": {"": str(device)}}
    _check_quantising(chosen, device)
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if has_fast_bfloat16(device) else torch.float16
    if chosen == "8bit":
        quantised = BitsAndBytesConfig(load_in_8bit=True)
    else:
        quantised = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
        )
    return {"dtype": compute, "quantization_config": quantised, "device_map": {"": str(device)}}


def _check_quantising(precision: Precision, device: torch.device) -> None:
    if device.type != "cuda":
        raise InputError(
            f"an LLM in {precision} on the {device.type}",
            expected="a CUDA device, which bitsandbytes needs",
            remedy="set the precision to auto, or name a quantised GGUF file as weights",
        )
    if find_spec("bitsandbytes") is None:
        raise InputError(
            f"an LLM in {precision}, and bitsandbytes is not installed",
            expected="the package bitsandbytes, which stores weights in 8 or 4 bits",
            remedy="run `pip install bitsandbytes`, or set the precision to bfloat16",
        )
