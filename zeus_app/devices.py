"""Where tensors live and in which precision they are multiplied."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from zeus_app.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def choose_device(name: str) -> torch.device:
    """The device a setting names.

    Args:
        name: "auto" (the first CUDA device, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r}: {error}",
            expected="auto, cpu, cuda or cuda:N",
            remedy="choose a device this machine has",
        ) from error
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 matrix products where the device is fast at them, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))


def batch_size(asked: int, device: torch.device, *, gpu: int, cpu: int) -> int:
    """How much goes through a network at once: what a setting asks for, or what suits the device.

    Args:
        asked: 0 for whatever suits.
        device: where the network is.
        gpu: what suits a GPU.
        cpu: what suits a CPU.
    """
    return asked or (gpu if device.type == "cuda" else cpu)


def halving(fn: Callable[[Sequence[T]], list[R]], rows: Sequence[T]) -> list[R]:
    """`fn(rows)`, in ever smaller parts while the device's memory does not hold them.

    Args:
        fn: rows -> one result for each; what it gives for a row must not depend on the others.
        rows: any number.

    Raises:
        InputError: one row alone is too much.
    """
    if not rows:
        return []
    try:
        return fn(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise out_of_memory(error) from error
    release_memory()  # out of the handler, whose traceback would keep the failed attempt's tensors
    middle = len(rows) // 2
    return halving(fn, rows[:middle]) + halving(fn, rows[middle:])


def out_of_memory(error: torch.OutOfMemoryError) -> InputError:
    """What is said when not even a batch of one fits."""
    return InputError(
        f"the device's memory does not hold one row: {str(error)[:200]}",
        expected="room for the model and a batch of one",
        remedy="free the device's memory, choose a lower precision or a smaller model, or"
        " run on another device",
    )


def release_memory() -> None:
    """Give back what a failed attempt left in CUDA's own store."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; to CUDA through pinned memory, so that the copy runs beside work."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
