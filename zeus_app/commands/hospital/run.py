"""A hospital in small: Orthanc with phantoms, Zeus, and both viewers, until somebody stops it."""

import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests
import typer

from zeus_app.commands.hospital.child_process import ChildProcess
from zeus_app.commands.hospital.ohif_package import viewer_folder
from zeus_app.commands.hospital.orthanc import Orthanc, orthanc_program
from zeus_app.commands.hospital.sample_dicom import DicomStudy, write_dicom_study
from zeus_app.commands.hospital.viewer import DicomwebSource, Viewer
from zeus_app.errors import InputError
from zeus_app.server.lifecycle.server_command import CHECKOUT, LOOPBACK, check_port

_START_TIMEOUT_S, _REQUEST_TIMEOUT_S, _POLL_S = 300, 10, 0.2
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Besides Ctrl-C: what ends a service, and what a closed terminal sends."""


@dataclass(frozen=True)
class HospitalPaths:
    """Where the hospital reads and writes.

    Attributes:
        phantoms: folder of the phantoms, with their manifest.json.
        out: folder for the PACS, the state of Zeus and the logs.
    """

    phantoms: Path = CHECKOUT / "sample_data" / "phantoms"
    out: Path = CHECKOUT / "reports" / "hospital"


def run_hospital(*, port: int, study_count: int, paths: HospitalPaths) -> int:
    """Start everything, print the addresses, and wait for Ctrl-C, SIGTERM or SIGHUP.

    Args:
        port: of Zeus; the next one is the PACS's, and the one after it the current OHIF's.
        study_count: how many phantoms the PACS gets.
        paths: where to read and write.

    Returns:
        Exit code: 0 after a stop; 1 if Orthanc or Zeus ended by itself.

    Raises:
        InputError: a package or the phantoms are missing, or a port is taken.
    """
    for name in _STOP_SIGNALS:
        signal.signal(name, signal.default_int_handler)
    try:
        orthanc_program()
        for used in range(port, port + 3):
            check_port(LOOPBACK, used)
        _run(port, study_count, paths)
    except KeyboardInterrupt:
        _say("stopped")
        return 0
    return 1


def _run(port: int, study_count: int, paths: HospitalPaths) -> None:
    """Start everything, and return when a part has ended by itself."""
    studies = write_phantoms(paths, study_count)
    with ExitStack() as stack:
        pacs = stack.enter_context(Orthanc(paths.out / "pacs", port=port + 1))
        for study in studies:
            pacs.upload(study.files)
        _say(f"Orthanc       {pacs.url} with {len(studies)} studies of phantoms")
        _say("Zeus starts, in 10 to 60 s")
        zeus = start_zeus(pacs.dicomweb_url, paths, port)
        stack.callback(zeus.end)
        _say(f"Zeus          http://{LOOPBACK}:{port}")
        _say(f"OHIF in Zeus  http://{LOOPBACK}:{port}/ohif/")
        _start_viewer(stack, pacs, port + 2)
        _say("Ctrl-C stops all of them")
        while not (pacs.has_ended or zeus.has_ended):
            time.sleep(_POLL_S)
        name, log = ("Orthanc", pacs.log) if pacs.has_ended else (zeus.name, zeus.log)
        _say(f"{name} ended by itself. Its log: {log}")


def write_phantoms(paths: HospitalPaths, count: int) -> list[DicomStudy]:
    """Write the first phantoms as DICOM.

    Raises:
        InputError: there are no phantoms.
    """
    manifest = paths.phantoms / "manifest.json"
    if not manifest.is_file():
        raise InputError(
            f"there are no sample studies in {paths.phantoms}",
            expected="the phantoms that set-up makes",
            remedy="run: make setup",
        )
    cases = json.loads(manifest.read_text(encoding="utf-8"))["cases"][:count]
    return [
        write_dicom_study(
            {sequence: paths.phantoms / file for sequence, file in case["sequences"].items()},
            paths.out / "dicom" / case["id"],
            name=case["id"],
        )
        for case in cases
    ]


def start_zeus(dicomweb_url: str, paths: HospitalPaths, port: int) -> ChildProcess:
    """Start `zeus serve` for the studies of a PACS, and return when it answers.

    Zeus and its viewer may write to this PACS, which holds phantoms alone.

    Raises:
        InputError: it does not start.
    """
    command = [sys.executable, "-m", "zeus_app.commands.main", "serve", dicomweb_url]
    command += ["--target", "phantom", "--state", str(paths.out / "state"), "--port", str(port)]
    command += ["--set", "pacs_write=true", "--set", "pacs_viewer_write=true"]
    zeus = ChildProcess("Zeus", command, log=paths.out / "zeus.log")
    url = f"http://{LOOPBACK}:{port}/info/"
    zeus.wait_for(
        lambda: requests.get(url, timeout=_REQUEST_TIMEOUT_S).raise_for_status(),
        timeout_s=_START_TIMEOUT_S,
    )
    return zeus


def _start_viewer(stack: ExitStack, pacs: Orthanc, port: int) -> None:
    """Serve the current OHIF. Without npm this part is left out."""
    try:
        folder = viewer_folder()
    except InputError as error:
        _say(f"no current OHIF: {error}")
        return
    viewer = stack.enter_context(Viewer(folder, DicomwebSource(pacs.dicomweb_url), port=port))
    _say(f"current OHIF  {viewer.url}")


def _say(line: str) -> None:
    typer.echo(f"hospital: {line}")
