import importlib.util
import shutil
import subprocess
import sys
import threading
import venv
from dataclasses import replace
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from scripts import set_up
from scripts.find_broken_packages import find_broken
from scripts.set_up import Checkout, SetUpError, Step

ROOT = Path(__file__).resolve().parents[1]


def step_that(
    checkout: Checkout, log: list[str], name: str = "zeus", depends_on: str = "1"
) -> Step:
    """A step that writes its name into the log and makes one file."""
    product = checkout.root / f"{name}-made"

    def run() -> None:
        log.append(name)
        product.write_text("")

    return Step(name, "does nothing", 0.0, (depends_on,), product, run)


def use_steps(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    monkeypatch.setattr(Checkout, "steps", lambda _: list(steps))


def test_a_step_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    use_steps(monkeypatch, step_that(checkout, log))
    set_up.set_up(checkout)
    set_up.set_up(checkout)
    assert log == ["zeus"]


def test_a_step_is_done_again_when_what_it_depends_on_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    for requirement in ("numpy==1", "numpy==2"):
        use_steps(monkeypatch, step_that(checkout, log, depends_on=requirement))
        set_up.set_up(checkout)
    assert log == ["zeus", "zeus"]


def test_a_step_is_done_again_when_what_it_made_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    step = step_that(checkout, log)
    use_steps(monkeypatch, step)
    set_up.set_up(checkout)
    step.made.unlink()
    set_up.set_up(checkout)
    assert log == ["zeus", "zeus"]


def test_a_step_that_was_interrupted_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    step = step_that(checkout, log)

    def killed() -> None:
        step.run()
        raise KeyboardInterrupt

    use_steps(monkeypatch, Step("zeus", "", 0.0, ("1",), step.made, killed))
    with pytest.raises(KeyboardInterrupt):
        set_up.set_up(checkout)
    use_steps(monkeypatch, step)
    set_up.set_up(checkout)
    assert log == ["zeus", "zeus"]


def test_a_redone_step_that_is_interrupted_does_not_keep_its_old_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    old = step_that(checkout, log)
    use_steps(monkeypatch, old)
    set_up.set_up(checkout)

    def killed() -> None:
        raise KeyboardInterrupt

    use_steps(monkeypatch, Step("zeus", "", 0.0, ("2",), old.made, killed))
    with pytest.raises(KeyboardInterrupt):
        set_up.set_up(checkout)
    assert not checkout.is_done(old)


def test_steps_that_an_earlier_step_undoes_are_done_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    packages = step_that(checkout, log, "packages")
    use_steps(monkeypatch, step_that(checkout, log, "environment", "Python 3.11.2"), packages)
    set_up.set_up(checkout)
    environment = step_that(checkout, log, "environment", "Python 3.11.9")

    def make_environment_anew() -> None:
        environment.run()
        packages.made.unlink()

    other_python = replace(environment, run=make_environment_anew)
    use_steps(monkeypatch, other_python, packages)
    set_up.set_up(checkout)
    assert log == ["environment", "packages", "environment", "packages"]


def test_the_disk_of_steps_that_an_earlier_step_undid_is_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    weights = replace(step_that(checkout, log, "weights"), disk_gib=1e6)
    set_up.write_stamp(checkout.stamp(weights), set_up.key_of(weights))
    weights.made.write_text("")
    environment = step_that(checkout, log, "environment")

    def clear_environment() -> None:
        weights.made.unlink()

    use_steps(monkeypatch, replace(environment, run=clear_environment), weights)
    with pytest.raises(SetUpError, match=r"too little free disk: 1000000.0 GiB are needed"):
        set_up.set_up(checkout)
    assert log == []


def test_the_disk_it_takes_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = Checkout(tmp_path)
    step = Step("zeus", "", 1.5, ("1",), tmp_path, lambda: sys.stdout.writelines(["working"]))
    use_steps(monkeypatch, step)
    set_up.set_up(checkout)
    output = capsys.readouterr().out
    assert output.index("takes 1.5 GiB") < output.index("working")


def test_too_small_a_disk_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout(tmp_path)
    log: list[str] = []
    step = step_that(checkout, log)
    use_steps(monkeypatch, Step("packages", "", 1e6, ("1",), step.made, step.run))
    with pytest.raises(SetUpError, match=r"too little free disk: 1000004.0 GiB are needed"):
        set_up.set_up(checkout)
    assert log == []


def test_a_python_that_cannot_make_environments_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SetUpError, match=r"apt install python3\.11-venv"):
        Checkout(tmp_path).make_environment()


def test_a_half_made_environment_is_made_again(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    venv.create(checkout.venv, with_pip=False)
    (checkout.venv / "bin" / "activate").unlink()  # what venv writes last
    assert not checkout.has_whole_environment()


def test_a_whole_environment_is_kept(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    venv.create(checkout.venv, with_pip=False)
    assert checkout.has_whole_environment()


def test_an_environment_that_was_moved_is_made_again(tmp_path: Path) -> None:
    venv.create(tmp_path / "old" / ".venv", with_pip=False)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert not Checkout(tmp_path / "new").has_whole_environment()


def test_two_set_ups_of_one_checkout_do_not_run_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = []

    def second() -> None:
        with set_up.alone(tmp_path):
            order.append("second")

    with set_up.alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.5)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert "waiting for another set-up" in capsys.readouterr().out


@pytest.fixture
def phantoms(tmp_path: Path) -> Checkout:
    """A checkout whose make_phantoms.py writes two files."""
    checkout = Checkout(tmp_path)
    (tmp_path / "sample_data").mkdir()
    (tmp_path / "sample_data" / "make_phantoms.py").write_text(
        "import pathlib, sys\n"
        "for name in ('a/t2.nii.gz', 'b/t2.nii.gz'):\n"
        "    path = pathlib.Path(sys.argv[1]) / name\n"
        "    path.parent.mkdir(parents=True)\n"
        "    path.write_text(name)\n"
    )
    checkout.python.parent.mkdir(parents=True)
    checkout.python.symlink_to(sys.executable)
    return checkout


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_sample_studies_are_made(phantoms: Checkout) -> None:
    phantoms.make_samples()
    assert files_below(phantoms.samples) == {"a/t2.nii.gz", "b/t2.nii.gz"}


def test_clean_removes_what_set_up_made(phantoms: Checkout) -> None:
    phantoms.make_samples()
    phantoms.clean()
    assert files_below(phantoms.root) == {"sample_data/make_phantoms.py"}


def test_clean_keeps_a_user_s_file_among_the_sample_studies(phantoms: Checkout) -> None:
    phantoms.make_samples()
    (phantoms.samples / "a" / "own.nii.gz").write_text("mine")
    phantoms.clean()
    assert files_below(phantoms.samples) == {"a/own.nii.gz"}


def test_clean_keeps_a_folder_that_set_up_did_not_make(phantoms: Checkout) -> None:
    phantoms.samples.mkdir()
    (phantoms.samples / "own.nii.gz").write_text("mine")
    phantoms.clean()
    assert files_below(phantoms.samples) == {"own.nii.gz"}


def test_clean_says_that_weights_in_a_folder_of_the_user_s_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))
    Checkout(tmp_path / "checkout").clean()
    assert f"kept the weights in {tmp_path / 'weights'}" in capsys.readouterr().out


def test_clean_where_nothing_was_made_does_nothing(tmp_path: Path) -> None:
    Checkout(tmp_path).clean()
    assert list(tmp_path.iterdir()) == []


def installed(folder: Path) -> list[Distribution]:
    """One package in a site folder: `one/__init__.py` of eight bytes."""
    (folder / "one").mkdir()
    (folder / "one" / "__init__.py").write_text("one = 1\n")
    info = folder / "one-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        "one/__init__.py,,8\none-1.0.dist-info/METADATA,,\none-1.0.dist-info/RECORD,,\n"
    )
    # Not `distributions()`: other tests import a backport that replaces it.
    return [PathDistribution(info)]


def test_a_package_with_all_its_files_is_whole(tmp_path: Path) -> None:
    assert find_broken(installed(tmp_path)) == []


def test_a_package_without_one_of_its_files_is_broken(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    (tmp_path / "one" / "__init__.py").unlink()
    assert find_broken(packages) == ["one==1.0"]


def test_a_package_with_a_file_cut_short_is_broken(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    (tmp_path / "one" / "__init__.py").write_text("one")
    assert find_broken(packages) == ["one==1.0"]


def test_a_package_whose_record_was_never_written_is_broken(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    (tmp_path / "one-1.0.dist-info" / "RECORD").unlink()
    assert find_broken(packages) == ["one==1.0"]


def test_without_python_3_11_the_message_says_what_to_install(tmp_path: Path) -> None:
    for name in ("python3.11", "python3", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")  # any other version
        (tmp_path / name).chmod(0o755)
    for name in ("dirname", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    process = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "set_up.sh")],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert "no Python 3.11 was found" in process.stderr
