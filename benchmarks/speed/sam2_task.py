"""Time clicks on MONAI Label's SAM2 task.

    python -m benchmarks.speed.sam2_task FOLDER IMAGE CLICKS

SAM2.1 tiny has random weights, which are as fast as trained ones. The last line of the output is a
JSON list of seconds per click. It leaves out the first click, which reads the image and builds the
network.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch


def prepare(folder: Path) -> None:
    """Write a configuration and random weights to the place of the task's downloads."""
    import sam2
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from sam2.build_sam import build_sam2

    package = Path(sam2.__file__).parent
    name = "sam2.1_hiera_t.yaml"
    shutil.copy(package / "configs" / "sam2.1" / name, folder / name)
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(folder), version_base=None):
        torch.manual_seed(0)
        network = build_sam2(name, None, device="cpu")
    torch.save({"model": network.state_dict()}, folder / "random.pt")


def click(folder: Path, image: str, clicks: Sequence[Sequence[int]]) -> list[float]:
    """Seconds of each click."""
    from monailabel.sam2.infer import Sam2InferTask

    task = Sam2InferTask(str(folder))
    durations = []
    for voxel in clicks:
        request = {"image": image, "foreground": [list(voxel)], "background": [], "device": "cpu"}
        began = time.perf_counter()
        file, _ = task(request)
        durations.append(time.perf_counter() - began)
        Path(file).unlink()
    return durations


if __name__ == "__main__":
    home, volume, points = Path(sys.argv[1]).resolve(), sys.argv[2], json.loads(sys.argv[3])
    prepare(home)
    sys.stdout.write(json.dumps(click(home, volume, points)[1:]) + "\n")
