"""Make state_of_2ea7737.zip. The code of that commit must be on the path, not this one.

    cd CLONE_OF_2ea7737 && PYTHONPATH=. python make_state.py ARCHIVE_TO_WRITE

A server with that commit's test model writes most of the state. Its classes write the rest.
"""

import json
import sys
import tempfile
import time
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import requests

made: Any = import_module("tests.server.conftest")
running: Any = import_module("tests.server.running")
SHAPE = (24, 20, 6)


def mask(path: Path, value: int, *voxels: tuple[int, int, int]) -> Path:
    """A label file on alpha's T2 grid with a few marked voxels."""
    array = np.zeros(SHAPE, np.uint8)
    for voxel in voxels:
        array[voxel] = value
    saved: Path = made.save(path, array, made.affine())
    return saved


def send(method: str, address: str, file: Path | None = None, **more: Any) -> Any:
    """One request, which must succeed. `file` goes into the form field "label" or "file"."""
    if file is not None:
        field = "label" if "/label" in address else "file"
        more["files"] = {field: (file.name, file.read_bytes())}
    response = requests.request(method, address, timeout=60, **more)
    response.raise_for_status()
    return response


def infer(url: str, image: str, model: str = "zeus", **params: Any) -> None:
    """POST /infer."""
    send("POST", f"{url}/infer/{model}", params={"image": image, "output": "image"},
         data={"params": json.dumps(params)})  # fmt: skip


def use_server(url: str, files: Path) -> None:
    """Labels, a training, predictions, clicks, uploads and notes, as clients send them."""
    labels = f"{url}/datastore/label"
    send("PUT", f"{labels}?image=alpha", mask(files / "first.nii.gz", 1, (5, 5, 2)))
    lesion = made.lesion_file(files / "lesion.nii.gz")
    send("PUT", f"{labels}?image=alpha", lesion, data={"params": json.dumps({"reader": "ann"})})
    bravo = made.lesion_file(files / "bravo.nii.gz", (-1, -1, 1))
    send("PUT", f"{labels}?image=bravo", bravo)
    infer(url, "alpha")
    send("POST", f"{url}/train/zeus?run_sync=true", json={"epochs": 2})
    infer(url, "charlie", instructions={"T2/lesion": "the bright spot"})
    send("DELETE", f"{labels}?id=bravo&tag=final")
    infer(url, "alpha", "clicks", foreground=[[5, 6, 2]], label="lesion", user="ann")
    infer(url, "alpha", "clicks", background=[[7, 6, 2]], refine=True, user="ann")
    infer(url, "alpha/FLAIR", "clicks", roi=[5, 6, 3, 4, 2, 2], label="cyst", user="bob")
    clicks = f"{url}/zeus/clicks/alpha"
    send("PUT", f"{clicks}/prior?user=ann", mask(files / "prior.nii.gz", 1, (5, 5, 2)))
    send("PUT", f"{clicks}/scribbles?user=bob", mask(files / "scribbles.nii.gz", 3, (9, 9, 3)))
    note = json.dumps({"quality": "good"})
    send("PUT", f"{url}/datastore/image/info?image=alpha", data={"info": note})
    uploaded = made.save(files / "dora_t2.nii.gz", made.head(5), made.affine())
    send("PUT", f"{url}/datastore/image?image=dora", uploaded)


def write_by_classes(state: Path) -> None:
    """What no request makes quickly: a split, a cache, an ended and an interrupted training."""
    splits = import_module("zeus_app.training.splits")
    labelled = import_module("zeus_app.types").LabelledStudy
    studies = {name: labelled(name, None, None, None, name.title(), ())
               for name in ("alpha", "bravo", "charlie", "dora")}  # fmt: skip
    splits.split_studies(studies, state / "phantom" / "splits.json", fraction=0.25, seed=0)
    cache = import_module("zeus_app.cache").Cache(state / "cache")
    cache.put("an array", np.arange(6, dtype=np.float16).reshape(2, 3))
    cache.put_text("a text", "the bright spot")
    cache.close()
    loop = import_module("tests.training.test_loop")
    recipe = import_module("zeus_app.config").TrainConfig
    origin = loop.Origin(fitted_to={
        "image encoder": "tiny", "labels": "lesion 1, cyst 2", "sequences": "T2, FLAIR",
    })  # fmt: skip
    folder = state / "phantom" / "tiny-zeus-hybrid" / "checkpoints"
    loop.a_trainer(folder, recipe(epochs=2, seed=1), origin=origin).fit()
    try:
        loop.a_trainer(folder, recipe(epochs=4, seed=2), origin=origin, kill_after=2).fit()
    except loop.Killed:
        return
    raise AssertionError("the second training was not interrupted")


def main(archive: Path) -> None:
    """Make studies and a state in a temporary folder, and pack both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, study in enumerate(("alpha", "bravo", "charlie")):
            flip = (-1, -1, 1) if study == "bravo" else (1, 1, 1)
            made.make_study(folder / "studies", study, seed, flip)
        server = running.start(folder / "studies", folder / "state", {"target": "phantom"})
        try:
            use_server(server.url, folder / "files")
            time.sleep(5)  # until everything that runs in the background is written
        finally:
            running.stop(server)
        write_by_classes(folder / "state")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted((*folder.glob("studies/**/*"), *folder.glob("state/**/*"))):
                if path.is_file() and path.suffix != ".log":
                    packed.write(path, path.relative_to(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
