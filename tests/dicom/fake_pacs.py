"""A small DICOMweb server for tests, which counts its requests and can misbehave."""

import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom

BOUNDARY = "part-of-a-fake"
STUDY_TAGS = ("StudyInstanceUID", "StudyDate", "StudyTime", "PatientID")


@dataclass
class FakePacs:
    """What the server knows, and how it behaves.

    Attributes:
        rows: StudyInstanceUID -> the data set that QIDO answers.
        images: StudyInstanceUID -> SeriesInstanceUID -> Part 10 files.
        requests: path and query of each request, without the root.
        page: most studies in an answer; 0 ignores limit and offset.
        filters: whether ModalitiesInStudy and StudyDate are obeyed.
        last_change: number of the newest change; None answers 404 to /changes.
        fault: path prefix -> what goes wrong there: a status, "html", "half", "drop" or "slow".
        released: what a "slow" answer waits for.
        stored: the objects that STOW-RS brought, each as often as it came.
        stow: status and data set of the answers to STOW-RS; 200 stores the object.
        headers: those of the newest request.
        bulk: SOPInstanceUID -> Siemens's b-value, which its header then leaves out.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[str, list[bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    page: int = 10_000
    filters: bool = True
    last_change: int | None = None
    fault: dict[str, object] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    headers: Mapping[str, str] = field(default_factory=dict)
    stored: list[bytes] = field(default_factory=list)
    stow: tuple[int, pydicom.Dataset] = field(default_factory=lambda: (200, pydicom.Dataset()))
    bulk: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    def count(self, part: str) -> int:
        """Number of requests whose path holds a text."""
        return sum(part in request for request in self.requests)

    def add_row(
        self, uid: str, modalities: str = "MR", date: str = "20260101", **more: Any
    ) -> None:
        data = pydicom.Dataset()
        data.StudyInstanceUID, data.StudyDate, data.StudyTime = uid, date, "101500"
        data.ModalitiesInStudy = modalities.split()
        data.NumberOfStudyRelatedSeries = 1
        data.NumberOfStudyRelatedInstances = 3
        for keyword, value in more.items():
            setattr(data, keyword, value)
        self.rows[uid] = data.to_json_dict()

    def add_rows(self, count: int) -> None:
        """Many studies 1.2.0, 1.2.1, ... of as many patients."""
        self.add_row("1.2.0", PatientID="p0")
        row = self.rows["1.2.0"]
        for number in range(1, count):
            uid = f"1.2.{number}"
            own = {"0020000D": {"vr": "UI", "Value": [uid]},
                   "00100020": {"vr": "LO", "Value": [f"p{number}"]}}  # fmt: skip
            self.rows[uid] = row | own

    def add_files(self, files: Iterable[Path]) -> None:
        """Store DICOM files, and list their studies."""
        for path in sorted(files):
            data = pydicom.dcmread(path, stop_before_pixels=True)
            study = self.images.setdefault(data.StudyInstanceUID, {})
            study.setdefault(data.SeriesInstanceUID, []).append(path.read_bytes())
            count = sum(map(len, study.values()))
            self.add_row(data.StudyInstanceUID, date=data.StudyDate, PatientID=data.PatientID,
                         NumberOfStudyRelatedSeries=len(study),
                         NumberOfStudyRelatedInstances=count)  # fmt: skip

    def add_object(self, file: bytes) -> None:
        """Store an object of a study that is listed or not."""
        data = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
        study = self.images.setdefault(data.StudyInstanceUID, {})
        study.setdefault(data.SeriesInstanceUID, []).append(file)
        self.stored.append(file)

    def remove(self, uid: str) -> None:
        del self.rows[uid]
        self.images.pop(uid, None)


@contextmanager
def served(
    pacs: FakePacs, *, certificate: Path | None = None, asks_for: Path | None = None
) -> Iterator[FakePacs]:
    """The server on the loopback; `pacs.url` is its DICOMweb root.

    Args:
        pacs: what it knows.
        certificate: PEM file with its certificate and key; None serves without TLS.
        asks_for: PEM file with the authority of the certificates that clients must have.
    """

    class Handler(_Handler):
        state = pacs

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        if asks_for:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(asks_for)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    pacs.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield pacs
    finally:
        pacs.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: FakePacs
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        path = path.removeprefix("/dicom-web")
        self.state.requests.append(f"{path}?{query}")
        self.state.headers = dict(self.headers)
        fault = next((f for at, f in self.state.fault.items() if path.startswith(at)), None)
        if isinstance(fault, int):
            return self.send(b"no", status=fault)
        if fault == "html":
            return self.send(b"<html>Log in</html>", kind="text/html")
        if fault == "drop":
            self.close_connection = True
            return None  # without an answer
        if isinstance(fault, str) and fault.startswith("http"):
            self.send_response(302)
            self.send_header("Location", fault)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if fault == "slow":
            self.state.released.wait(60)
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        return self.answer(path.strip("/").split("/"), asked, is_half=fault == "half")

    def do_POST(self) -> None:
        """STOW-RS of one object."""
        path = urlsplit(self.path).path.removeprefix("/dicom-web")
        self.state.requests.append(f"POST {path}")
        self.state.headers = dict(self.headers)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.state.stow
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
        part = body.split(b"--" + boundary)[1]
        if status == 200 and "FailedSOPSequence" not in answer:
            self.state.add_object(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))
        kind = "application/dicom+json; charset=utf-8"
        self.send(answer.to_json().encode(), status=status, kind=kind)

    def answer(self, parts: list[str], asked: Mapping[str, str], *, is_half: bool) -> None:
        match parts:
            case ["changes"] if self.state.last_change is not None:
                self.json({"Changes": [], "Done": True, "Last": self.state.last_change})
            case ["studies"]:
                self.json(self.page(asked))
            case ["series"]:
                self.json([{"0020000D": {"vr": "UI", "Value": [study]},
                            "0020000E": {"vr": "UI", "Value": [uid]}}
                           for study, series in self.state.images.items() for uid in series
                           if uid == asked["SeriesInstanceUID"]])  # fmt: skip
            case ["studies", study, "series"]:
                self.json([{"0020000E": {"vr": "UI", "Value": [uid]}}
                           for uid in self.state.images.get(study, {})])  # fmt: skip
            case ["studies", study, "metadata"] if study in self.state.images:
                self.json([self.header(f) for s in self.state.images[study].values() for f in s])
            case ["studies", study, "series", series, "instances"]:
                self.json([header(f) for f in self.state.images.get(study, {}).get(series, [])])
            case ["studies", study, "series", series, "metadata"]:
                self.json([self.header(file) for file in self.state.images[study][series]])
            case ["studies", _, "series", _, "instances", image, "bulk", _] if (
                image in self.state.bulk
            ):
                self.multipart([self.state.bulk[image]], is_half=False,
                               media_type="application/octet-stream")  # fmt: skip
            case ["studies", study, "series", series] if series in self.state.images[study]:
                self.multipart(self.state.images[study][series], is_half=is_half)
            case _:
                self.send(b"", status=404)

    def header(self, file: bytes) -> dict[str, Any]:
        answer = header(file)
        image = answer["00080018"]["Value"][0]
        if image in self.state.bulk:
            study, series = (answer[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
            # The host is that of a PACS that does not know its proxy.
            address = f"http://pacs.invalid/dicom-web/studies/{study}/series/{series}"
            answer["00190010"] = {"vr": "LO", "Value": ["SIEMENS MR HEADER"]}
            answer["0019100C"] = {
                "vr": "OB", "BulkDataURI": f"{address}/instances/{image}/bulk/0019100c",
            }  # fmt: skip
        return answer

    def page(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        rows = list(self.state.rows.values())
        if self.state.filters:
            rows = [row for row in rows if fits(row, asked)]
        if not self.state.page:
            return rows
        start, count = int(asked.get("offset", 0)), int(asked.get("limit", 10_000))
        return rows[start : start + min(count, self.state.page)]

    def json(self, answer: object) -> None:
        self.send(json.dumps(answer).encode(), kind="application/dicom+json")

    def multipart(
        self, files: list[bytes], *, is_half: bool, media_type: str = "application/dicom"
    ) -> None:
        parts = [b"\r\n--%s\r\nContent-Type: %s\r\n\r\n%s"
                 % (BOUNDARY.encode(), media_type.encode(), file) for file in files]  # fmt: skip
        body = b"".join(parts) + b"\r\n--%s--\r\n" % BOUNDARY.encode()
        kind = f'multipart/related; type="{media_type}"; boundary={BOUNDARY}'
        if is_half:  # without a length, only the missing end tells
            body, self.close_connection = body[: len(body) - len(files[-1]) // 2], True
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)
            return
        self.send(body, kind=kind)

    def send(self, body: bytes, *, status: int = 200, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fits(row: Mapping[str, Any], asked: Mapping[str, str]) -> bool:
    """Whether a study matches the filters that a PACS must know."""
    modality, days = asked.get("ModalitiesInStudy"), asked.get("StudyDate", "-")
    first, _, last = days.partition("-")
    date = row["00080020"]["Value"][0]
    uid = asked.get("StudyInstanceUID", row["0020000D"]["Value"][0])
    has = not modality or modality in row["00080061"]["Value"]
    return has and uid == row["0020000D"]["Value"][0] and first <= date <= (last or "9")


def header(file: bytes) -> dict[str, Any]:
    """The elements of an image without its pixels, in DICOM's JSON."""
    data = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
    answer: dict[str, Any] = data.to_json_dict()
    answer["7FE00010"] = {"vr": "OW", "BulkDataURI": "http://127.0.0.1/bulk"}
    return answer
