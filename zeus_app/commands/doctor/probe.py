"""A program that imports modules and prints what came of it: one JSON object a line.

    python probe.py numpy torch ...

An import can end the process, so `probe_process.py` runs this program in one of its own. It imports
the standard library alone.
"""

import importlib
import json
import sys
from pathlib import Path


def tell(**fact: object) -> None:
    """Print one line, at once: the next import may end the process."""
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def gpu() -> str:
    """The GPUs that PyTorch can use, and the versions of CUDA; empty if there is none."""
    import torch

    if not torch.cuda.is_available():
        return ""
    names = [
        f"{(about := torch.cuda.get_device_properties(i)).name},"
        f" {about.total_memory / 2**30:.0f} GiB"
        for i in range(torch.cuda.device_count())
    ]
    return f"{'; '.join(names)}; CUDA {torch.version.cuda}"


def runtime_key() -> str:
    """The key under which the encoder runtime of this machine is saved."""
    from zeus_app.encoders.fastest_runtime import machine_key

    return machine_key()


def main(modules: list[str]) -> None:
    """Import each module, then ask PyTorch and Zeus."""
    # This program's own folder would come first, and it has modules named like others.
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    for name in modules:
        tell(importing=name)
        try:
            importlib.import_module(name)
        except BaseException as error:  # a broken package may raise anything
            tell(failed=name, error=f"{type(error).__name__}: {error}"[:300])
    for name, ask in (("gpu", gpu), ("runtime_key", runtime_key)):
        tell(importing=f"the question for {name}")
        try:
            tell(**{name: ask()})
        except Exception as error:  # the import above has told why
            tell(**{name: "", "error": str(error)[:300]})


if __name__ == "__main__":
    main(sys.argv[1:])
