"""Make the checkout ready to run: environment, packages, weights, sample studies.

    sh scripts/set_up.sh           do what is missing (this is `make setup`)
    sh scripts/set_up.sh --clean   remove what set-up made, and nothing else (`make clean`)

A step that finished leaves a stamp that holds the hash of what it depended on. It is done again
when that changed, when it was interrupted, or when what it made is gone. Standard library alone.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
WHEELS_GIB = 4.0  # pip's copies of what it downloads, gone when it is finished


class SetUpError(Exception):
    """Set-up cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Step:
    """One step of set-up.

    Attributes:
        name: also the stamp's name.
        what: one line for the user.
        disk_gib: what it leaves on the disk, as measured with `du`, its first use included.
        depends_on: files and words; when their content changes, the step is done again.
        made: what must be there afterwards.
        run: does it.
    """

    name: str
    what: str
    disk_gib: float
    depends_on: tuple[Path | str, ...]
    made: Path
    run: Callable[[], None]


class Checkout:
    """A clone of Zeus and the places set-up writes to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.work = self.venv / "set-up"  # stamps, pip's log and scratch; goes with the venv
        self.samples = root / "sample_data" / "phantoms"
        self.samples_new = root / "sample_data" / ".phantoms-new"
        self.samples_made = root / "sample_data" / ".phantoms-made"

    def steps(self) -> list[Step]:
        """Every step, in order."""
        requirements = [
            self.root / name
            for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt")
        ]
        return [
            Step(
                "environment",
                f"make .venv with {sys.executable}",
                0.02,
                # A venv holds absolute paths: a moved checkout needs a new one.
                (str(self.root), sys.version),
                self.python,
                self.make_environment,
            ),
            Step(
                "packages",
                "install the pinned packages (PyTorch with CUDA is most of it)",
                8.9,
                tuple(requirements),
                self.venv / "bin" / "pytest",
                self.install_packages,
            ),
            Step(
                "zeus",
                "make zeus_app, infer and trainers importable, and the command zeus",
                0.0,
                (self.root / "pyproject.toml", str(self.root)),
                self.venv / "bin" / "zeus",
                self.install_zeus,
            ),
            Step(
                "weights",
                "fetch the frozen towers' weights, check their hashes, measure how to run them",
                0.5,  # half of it at the first use: the LLM unpacked, the encoder for OpenVINO
                (
                    *sorted((self.root / "zeus_app" / "weights").glob("*.yaml")),
                    os.environ.get("ZEUS_WEIGHTS", ""),
                ),
                Path(os.environ.get("ZEUS_WEIGHTS") or self.venv / "share" / "zeus" / "weights"),
                self.get_weights,
            ),
            Step(
                "samples",
                "make the sample studies",
                0.02,
                tuple(sorted((self.root / "sample_data").glob("*.py"))),
                self.samples,
                self.make_samples,
            ),
        ]

    def stamp(self, step: Step) -> Path:
        """Where a step's stamp lies."""
        return self.samples_made if step.name == "samples" else self.work / step.name

    def is_done(self, step: Step) -> bool:
        """Whether the step finished for what it depends on now, and what it made is still there."""
        stamp = self.stamp(step)
        return (
            step.made.exists()
            and stamp.is_file()
            and stamp.read_text(encoding="utf-8").partition("\n")[0] == key_of(step)
        )

    def make_environment(self) -> None:
        """Make .venv, or keep one that is whole; what is left of a half-made one is removed."""
        if self.has_whole_environment():
            print("    keeping the one that is there", flush=True)
            return
        if importlib.util.find_spec("ensurepip") is None:
            raise SetUpError(
                "this Python cannot make virtual environments: ensurepip is missing.\n"
                "  On Debian and Ubuntu: sudo apt install python3.11-venv"
            )
        run([sys.executable, "-m", "venv", "--clear", str(self.venv)])

    def has_whole_environment(self) -> bool:
        """Whether .venv was made to the end, for this place, by this Python."""
        activate = self.venv / "bin" / "activate"  # what venv writes last
        if not activate.is_file() or str(self.venv) not in activate.read_text(encoding="utf-8"):
            return False
        said = subprocess.run(
            [self.python, "-c", "import sys; print(sys.version, end='')"],
            capture_output=True,
            text=True,
            check=False,
        )
        return said.stdout == sys.version

    def install_packages(self) -> None:
        """Install everything in one resolve; then mend what an interrupted run left broken."""
        install = ["install", "-r", "requirements-dev.txt", "-c", "constraints.txt"]
        self.pip(install)
        broken = run([str(self.python), "scripts/find_broken_packages.py"], cwd=self.root).split()
        if broken:
            print(f"    mending {', '.join(broken)}", flush=True)
            self.pip(["install", "--ignore-installed", "--no-deps", *broken])
        run([str(self.python), "-m", "pip", "check"])

    def install_zeus(self) -> None:
        """Install this checkout in place."""
        self.pip(["install", "--no-deps", "--no-build-isolation", "--editable", "."])

    def get_weights(self) -> None:
        """Fetch what is missing, zeus checks every hash; then find what encodes fastest here."""
        zeus = self.venv / "bin" / "zeus"
        subprocess.run([zeus, "weights", "get"], check=True, cwd=self.root)
        # Should it fail, it is done again at the first start.
        subprocess.run([zeus, "runtime"], check=False, cwd=self.root)

    def make_samples(self) -> None:
        """Make the phantoms aside, then move them in file by file: other files stay untouched."""
        shutil.rmtree(self.samples_new, ignore_errors=True)
        run([str(self.python), "sample_data/make_phantoms.py", str(self.samples_new)], self.root)
        made = sorted(path for path in self.samples_new.rglob("*") if path.is_file())
        names = [str(path.relative_to(self.samples_new)) for path in made]
        # Known before the first is moved, so that an interrupted run can be cleaned as well.
        self.samples_made.write_text("\n".join(["unfinished", *names]), encoding="utf-8")
        for name in names:
            (self.samples / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.samples_new / name, self.samples / name)
        shutil.rmtree(self.samples_new)

    def pip(self, arguments: list[str]) -> None:
        """Run pip, showing the large downloads; all it says is in .venv/set-up/pip.log."""
        scratch = self.work / "tmp"  # /tmp is often too small for PyTorch's wheels
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        process = subprocess.Popen(
            [*command, "--no-input", "--progress-bar", "off"],
            cwd=self.root,
            env={**os.environ, "TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = []
        assert process.stdout is not None
        with (self.work / "pip.log").open("a", encoding="utf-8") as log:
            for line in process.stdout:
                lines.append(line)
                log.write(line)
                show_large_download(line)
        shutil.rmtree(scratch, ignore_errors=True)
        if process.wait():
            raise SetUpError("pip failed; it said at last:\n" + "".join(lines[-25:]))

    def clean(self) -> None:
        """Remove what set-up made: .venv with the weights in it, the phantoms, build leftovers."""
        if self.samples_made.is_file():
            for name in self.samples_made.read_text(encoding="utf-8").splitlines()[1:]:
                remove_with_empty_parents(self.samples / name, self.samples.parent)
            self.samples_made.unlink()
        for folder in (self.samples_new, self.root / "zeus_mri.egg-info", self.venv):
            if folder.exists():
                print(f"clean: removing {folder}")
                shutil.rmtree(folder)
        if self.samples.exists():
            print(f"clean: kept {self.samples}; set-up did not make what is in it")
        weights = os.environ.get("ZEUS_WEIGHTS")
        if weights and Path(weights).exists():
            print(f"clean: kept the weights in {weights}, which ZEUS_WEIGHTS names")


def key_of(step: Step) -> str:
    """Hash of everything a step depends on."""
    digest = hashlib.sha256()
    for thing in step.depends_on:
        content = thing.read_bytes() if isinstance(thing, Path) else thing.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run a command and return what it printed. Raises SetUpError with its last words."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise SetUpError(f"{' '.join(command)} failed:\n{last}")
    return done.stdout


def show_large_download(line: str) -> None:
    """Print pip's line when it tells of something that takes a while."""
    size = re.search(r"\(([\d.]+) ([MG])B\)", line)
    if "Installing collected packages" in line and line.count(",") > 50:
        print("    unpacking; this takes longest", flush=True)
    elif size and (size[2] == "G" or float(size[1]) >= 20):
        name = line.split()[1].split("/")[-1]
        print(f"    {line.split()[0].lower()} {name} ({size[1]} {size[2]}B)", flush=True)


def remove_with_empty_parents(path: Path, stop: Path) -> None:
    """Remove a file and the folders above it that became empty, below `stop`."""
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == stop or not folder.exists() or any(folder.iterdir()):
            return
        folder.rmdir()


def check_disk(checkout: Checkout, todo: list[Step]) -> None:
    """Say how much disk the steps take, and refuse when there is too little."""
    packages = any(step.name == "packages" for step in todo)
    already = size_gib(checkout.venv) if packages else 0.0
    stays = max(0.0, sum(step.disk_gib for step in todo) - already)
    passing = WHEELS_GIB if packages else 0.0
    free = shutil.disk_usage(checkout.root).free / GIB
    print(
        f"set-up: takes {stays:.1f} GiB of disk in {checkout.root}"
        + (f" beside the {already:.1f} GiB that are there" if already else "")
        + (f", up to {passing:.0f} GiB more while it runs" if passing else "")
        + f"; {free:.1f} GiB are free.",
        flush=True,
    )
    if stays and free < stays + passing:
        raise SetUpError(f"too little free disk: {stays + passing:.1f} GiB are needed")


def size_gib(folder: Path) -> float:
    """What a folder takes, in GiB; 0 when it is not there."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / GIB


def set_up(checkout: Checkout) -> None:
    """Do every step that is not done."""
    started = time.monotonic()
    todo = [step for step in checkout.steps() if not checkout.is_done(step)]
    if not todo:
        print("set-up: everything is in place.", flush=True)
        return
    check_disk(checkout, todo)
    for number, step in enumerate(todo, 1):
        print(f"[{number}/{len(todo)}] {step.name}: {step.what}", flush=True)
        began = time.monotonic()
        if step.name != "samples":  # whose stamp is also the list of its files
            checkout.stamp(step).unlink(missing_ok=True)
        step.run()
        write_stamp(checkout.stamp(step), key_of(step))
        print(f"    done in {time.monotonic() - began:.0f} s", flush=True)
    print(f"set-up: ready after {time.monotonic() - started:.0f} s.", flush=True)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let one set-up at a time work on a checkout; the next one waits and finds all done."""
    folder = os.open(root, os.O_RDONLY)  # the lock ends with the process and leaves no file
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another one is running here; waiting for it.", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_stamp(stamp: Path, key: str) -> None:
    """Put the key into the stamp's first line, keeping the others."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    rest = stamp.read_text(encoding="utf-8").partition("\n")[2] if stamp.is_file() else ""
    partial = stamp.with_name(f"{stamp.name}.partial")
    partial.write_text(f"{key}\n{rest}", encoding="utf-8")
    os.replace(partial, stamp)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clean", action="store_true", help="remove what set-up made")
    checkout = Checkout(ROOT)
    clean = parser.parse_args().clean
    try:
        with alone(ROOT):
            if clean:
                checkout.clean()
            else:
                set_up(checkout)
    except SetUpError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; run it again and it goes on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
