"""Devices: choosing one, its precision, batch sizes, and running out of its memory."""

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from zeus_app.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

MALLOC_OPTIONS = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads; only the first one grows without bound
    -3: 1 << 30,  # M_MMAP_THRESHOLD: smaller blocks come from the heap
    -1: 512 << 20,  # M_TRIM_THRESHOLD: so much freed memory stays with the process
    -2: 64 << 20,  # M_TOP_PAD: the heap grows by at least so much
}
"""Settings of glibc's malloc. Its own ones give each tensor back to the system when it is freed.

The system then clears every page of the next tensor: a third of the time of a training step.
Threads that ran before these settings may have a heap already; a server's environment prevents
that.
"""


def choose_device(name: str) -> torch.device:
    """The device that a setting names.

    Args:
        name: "auto" (the first CUDA device, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: this machine has no such device.
    """
    _keep_freed_memory()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r}: {error}",
            expected="auto, cpu, cuda or cuda:N",
            remedy="send the name of a device that this machine has, for example cpu",
        ) from error
    return device


@functools.cache
def _keep_freed_memory() -> None:
    """Let this process use the memory of freed tensors again, where the C library is glibc."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)


def return_freed_memory() -> None:
    """Return this process's freed memory to the system, where the C library is glibc.

    The next work of this process then takes a little longer, because it must get its pages again.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware. Emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 matrix products where the device is fast at them, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))


def batch_size(setting: int, device: torch.device, *, gpu: int, cpu: int) -> int:
    """The batch size of a setting, or the default of the device.

    Args:
        setting: 0 for the default.
        device: where the network is.
        gpu: default on a GPU.
        cpu: default on a CPU.
    """
    return setting or (gpu if device.type == "cuda" else cpu)


def split_when_out_of_memory(fn: Callable[[Sequence[T]], list[R]], rows: Sequence[T]) -> list[R]:
    """Call `fn(rows)`; when memory runs out, split the rows into halves and call it for each.

    Args:
        fn: rows -> one result per row. The result of a row must not depend on the other rows.
        rows: any number of them.

    Raises:
        InputError: the memory does not hold a single row.
    """
    if not rows:
        return []
    try:
        return fn(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise out_of_memory_error(error) from error
    # Outside the handler: the traceback keeps the tensors of the failed call alive.
    release_memory()
    middle = len(rows) // 2
    return split_when_out_of_memory(fn, rows[:middle]) + split_when_out_of_memory(fn, rows[middle:])


def out_of_memory_error(error: torch.OutOfMemoryError) -> InputError:
    """The error for a batch of one row that does not fit into the device's memory."""
    return InputError(
        f"the device's memory does not hold one row: {str(error)[:200]}",
        expected="room for the model and a batch of one",
        remedy="free the device's memory; or send device cpu, a smaller profile, or a lower"
        " precision in the profile, for example `llm: {precision: 8bit}`",
    )


def release_memory() -> None:
    """Empty CUDA's cache of freed tensors."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a tensor. To CUDA it goes through pinned memory, so that the copy runs in parallel."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
