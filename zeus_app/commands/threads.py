"""The environment of commands that compute in their own process."""

import os
import sys

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads of PyTorch sleep while they wait for each other.

By default they spin. Where other programs use the cores too, a spinning thread takes the time that
the awaited one needs: the decoder then takes ten times as long (docs/speed.md).
"""


def wait_passively() -> None:
    """Let PyTorch's threads sleep while they wait, unless the user's environment says otherwise.

    The environment counts when PyTorch is imported, so later calls change nothing.
    """
    if "torch" not in sys.modules:
        for name, value in PASSIVE.items():
            os.environ.setdefault(name, value)
