"""Make the checkout ready to run: environment, packages, weights, sample studies.

    sh scripts/set_up.sh           run the steps that are missing (`make setup`)
    sh scripts/set_up.sh --clean   remove what set-up made, and nothing else (`make clean`)

A finished step writes a stamp: the hash of the step's inputs. The step runs again when its inputs
have changed, when it was interrupted, or when its output is missing. This program imports the
standard library only, because it runs before anything is installed.
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
GIB = 2**30  # zeus_app.types cannot be imported before the packages are there
WHEELS_GIB = 4.0  # pip's copies of the downloaded packages; pip removes them at the end


class SetUpError(Exception):
    """Set-up cannot continue. The message says what to do."""


@dataclass(frozen=True)
class Step:
    """One step of set-up.

    Attributes:
        name: also the name of the stamp.
        summary: one line for the user.
        disk_gib: size of the result, measured with `du` after the first use of Zeus.
        depends_on: the inputs: files and words. The step runs again when their content changes.
        made: the file or folder that must exist afterwards.
        run: runs the step.
    """

    name: str
    summary: str
    disk_gib: float
    depends_on: tuple[Path | str, ...]
    made: Path
    run: Callable[[], None]


class Checkout:
    """A clone of Zeus, and the folders that set-up writes to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.work = self.venv / "set-up"  # stamps, the log of pip, scratch files
        self.samples = root / "sample_data" / "phantoms"
        self.samples_new = root / "sample_data" / ".phantoms-new"
        self.samples_made = root / "sample_data" / ".phantoms-made"

    def steps(self) -> list[Step]:
        """All steps, in order."""
        requirements = [
            self.root / name
            for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt")
        ]
        return [
            Step(
                "environment",
                f"make .venv with {sys.executable}",
                0.02,
                # A venv contains absolute paths, so a moved checkout needs a new one.
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
                "install zeus_app, infer, trainers and the command zeus in place",
                0.0,
                (self.root / "pyproject.toml", str(self.root)),
                self.venv / "bin" / "zeus",
                self.install_zeus,
            ),
            Step(
                "weights",
                "fetch the weights of the frozen towers, check their hashes, choose the runtime",
                0.5,  # half of it at the first use: the unpacked LLM, the encoder for OpenVINO
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
        """The path of a step's stamp."""
        return self.samples_made if step.name == "samples" else self.work / step.name

    def is_done(self, step: Step) -> bool:
        """Whether the step finished with its present inputs, and its output still exists."""
        stamp = self.stamp(step)
        return (
            step.made.exists()
            and stamp.is_file()
            and stamp.read_text(encoding="utf-8").partition("\n")[0] == key_of(step)
        )

    def make_environment(self) -> None:
        """Make .venv, unless it is complete. An incomplete one is removed first."""
        if self.has_whole_environment():
            print("    the present .venv is complete and stays", flush=True)
            return
        if importlib.util.find_spec("ensurepip") is None:
            raise SetUpError(
                "this Python cannot make virtual environments: ensurepip is missing.\n"
                "  On Debian and Ubuntu: sudo apt install python3.11-venv"
            )
        run([sys.executable, "-m", "venv", "--clear", str(self.venv)])

    def has_whole_environment(self) -> bool:
        """Whether .venv is complete, was made in this folder, and with this Python."""
        activate = self.venv / "bin" / "activate"  # venv writes this file last
        if not activate.is_file() or str(self.venv) not in activate.read_text(encoding="utf-8"):
            return False
        printed = subprocess.run(
            [self.python, "-c", "import sys; print(sys.version, end='')"],
            capture_output=True,
            text=True,
            check=False,
        )
        return printed.stdout == sys.version

    def install_packages(self) -> None:
        """Install all packages in one call, then repair what an interrupted run left broken."""
        install = ["install", "-r", "requirements-dev.txt", "-c", "constraints.txt"]
        self.pip(install)
        broken = run([str(self.python), "scripts/find_broken_packages.py"], cwd=self.root).split()
        if broken:
            print(f"    repairing {', '.join(broken)}", flush=True)
            self.pip(["install", "--ignore-installed", "--no-deps", *broken])
        run([str(self.python), "-m", "pip", "check"])

    def install_zeus(self) -> None:
        """Install this checkout in place."""
        self.pip(["install", "--no-deps", "--no-build-isolation", "--editable", "."])

    def get_weights(self) -> None:
        """Fetch missing weights, check all hashes, and measure the fastest encoder runtime."""
        zeus = self.venv / "bin" / "zeus"
        subprocess.run([zeus, "weights", "get"], check=True, cwd=self.root, stdout=subprocess.PIPE)
        print("    measuring which runtime encodes images fastest", flush=True)
        with (self.work / "runtime.log").open("w", encoding="utf-8") as log:
            # A failure does no harm: the server measures again at its first start.
            subprocess.run(
                [zeus, "runtime"], check=False, cwd=self.root, stdout=log, stderr=subprocess.STDOUT
            )

    def make_samples(self) -> None:
        """Make the phantoms in a folder of their own, then move them in, file by file.

        Other files in the folder of the samples stay untouched.
        """
        shutil.rmtree(self.samples_new, ignore_errors=True)
        run([str(self.python), "sample_data/make_phantoms.py", str(self.samples_new)], self.root)
        made = sorted(path for path in self.samples_new.rglob("*") if path.is_file())
        names = [str(path.relative_to(self.samples_new)) for path in made]
        # Written before the first move, so that `clean` works after an interrupted run too.
        self.samples_made.write_text("\n".join(["unfinished", *names]), encoding="utf-8")
        for name in names:
            (self.samples / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.samples_new / name, self.samples / name)
        shutil.rmtree(self.samples_new)

    def pip(self, arguments: list[str]) -> None:
        """Run pip and print its large downloads. All output goes to .venv/set-up/pip.log."""
        scratch = self.work / "tmp"  # /tmp is often too small for the wheels of PyTorch
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
            raise SetUpError("pip failed. Its last lines:\n" + "".join(lines[-25:]))

    def clean(self) -> None:
        """Remove what set-up made: .venv with the weights in it, phantoms, build files."""
        if self.samples_made.is_file():
            for name in self.samples_made.read_text(encoding="utf-8").splitlines()[1:]:
                remove_with_empty_parents(self.samples / name, self.samples.parent)
            self.samples_made.unlink()
        for folder in (self.samples_new, self.root / "zeus_mri.egg-info", self.venv):
            if folder.exists():
                print(f"clean: removing {folder}")
                shutil.rmtree(folder)
        if self.samples.exists():
            print(f"clean: kept {self.samples}, because it contains files that set-up did not make")
        weights = os.environ.get("ZEUS_WEIGHTS")
        if weights and Path(weights).exists():
            print(f"clean: kept the weights in {weights}, which ZEUS_WEIGHTS names")


def key_of(step: Step) -> str:
    """Hash of all inputs of a step."""
    digest = hashlib.sha256()
    for source in step.depends_on:
        content = source.read_bytes() if isinstance(source, Path) else source.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run a command and return its output.

    Raises:
        SetUpError: the command failed; with the last lines of its output.
    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise SetUpError(f"{' '.join(command)} failed:\n{last}")
    return done.stdout


def show_large_download(line: str) -> None:
    """Print a line of pip's output if it announces a large download or the installation."""
    size = re.search(r"\(([\d.]+) ([MG])B\)", line)
    if "Installing collected packages" in line and line.count(",") > 50:
        print("    unpacking; this step takes longest", flush=True)
    elif size and (size[2] == "G" or float(size[1]) >= 50):
        name = line.split()[1].split("/")[-1]
        print(f"    {line.split()[0].lower()} {name} ({size[1]} {size[2]}B)", flush=True)


def remove_with_empty_parents(path: Path, stop: Path) -> None:
    """Remove a file, and the folders below `stop` that are empty afterwards."""
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == stop or not folder.exists() or any(folder.iterdir()):
            return
        folder.rmdir()


def check_disk(checkout: Checkout, todo: list[Step]) -> None:
    """Print how much disk the steps need.

    Raises:
        SetUpError: less disk is free.
    """
    packages = any(step.name == "packages" for step in todo)
    already = size_gib(checkout.venv) if packages else 0.0
    stays = max(0.0, sum(step.disk_gib for step in todo) - already)
    passing = WHEELS_GIB if packages else 0.0
    free = shutil.disk_usage(checkout.root).free / GIB
    print(
        f"set-up: takes {stays:.1f} GiB of disk in {checkout.root}"
        + (f", in addition to the {already:.1f} GiB in use" if already else "")
        + (f", and up to {passing:.0f} GiB more while it runs" if passing else "")
        + f"; {free:.1f} GiB are free.",
        flush=True,
    )
    if stays and free < stays + passing:
        raise SetUpError(
            f"too little free disk: {stays + passing:.1f} GiB are needed in {checkout.root}.\n"
            "  Free some disk, or clone Zeus to a larger disk, then run `make setup` again."
        )


def size_gib(folder: Path) -> float:
    """Size of all files in a folder, in GiB; 0 without the folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / GIB


def set_up(checkout: Checkout) -> None:
    """Run every step that is not done.

    The plan is made again before each step: a step can undo later ones. For example, a new .venv
    contains no packages and no weights.
    """
    started = time.monotonic()
    steps = checkout.steps()
    planned: list[Step] = []
    count = 0
    for index, step in enumerate(steps):
        todo = [later for later in steps[index:] if not checkout.is_done(later)]
        if step not in todo:
            continue
        if any(later not in planned for later in todo):
            check_disk(checkout, todo)
        planned = todo
        count += 1
        print(f"[{count}/{count - 1 + len(todo)}] {step.name}: {step.summary}", flush=True)
        run_step(checkout, step)
    seconds = time.monotonic() - started
    print(
        f"set-up: ready after {seconds:.0f} s." if count else "set-up: nothing to do.", flush=True
    )


def run_step(checkout: Checkout, step: Step) -> None:
    """Run a step and write its stamp."""
    began = time.monotonic()
    if step.name != "samples":  # this stamp also lists the files of the samples
        checkout.stamp(step).unlink(missing_ok=True)
    step.run()
    write_stamp(checkout.stamp(step), key_of(step))
    print(f"    done in {time.monotonic() - began:.0f} s", flush=True)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let one set-up at a time work on a checkout. A second one waits."""
    folder = os.open(root, os.O_RDONLY)  # the lock ends with the process, and there is no lock file
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: waiting for another set-up that is running here.", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_stamp(stamp: Path, key: str) -> None:
    """Write the key into the first line of a stamp. Other lines stay."""
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
    except (SetUpError, OSError, subprocess.CalledProcessError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted. Run `make setup` again to continue.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
