"""In which numbers a frozen LLM is held, and what transformers must be told for it."""

from importlib.util import find_spec
from typing import Any, Literal

import torch

from zeus_app.devices import has_fast_bfloat16
from zeus_app.errors import InputError

Precision = Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve(precision: Precision, device: torch.device) -> Precision:
    """`precision` with "auto" decided: bfloat16 where the device is fast at it, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def load_options(precision: Precision, device: torch.device) -> dict[str, Any]:
    """What `from_pretrained` is to be given so that a model arrives on `device` in `precision`.

    8 and 4 bit are bitsandbytes' (LLM.int8 and NF4); they compute in half precision.

    Raises:
        InputError: 8 or 4 bit without a CUDA device or without bitsandbytes.
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
            expected="a CUDA device, for bitsandbytes quantises there",
            remedy="set the precision to auto, or give a quantised GGUF file",
        )
    if find_spec("bitsandbytes") is None:
        raise InputError(
            f"an LLM in {precision}, and bitsandbytes is not installed",
            expected="the package bitsandbytes, which holds weights in 8 and 4 bit",
            remedy="run `pip install bitsandbytes`, or set the precision to bfloat16",
        )
