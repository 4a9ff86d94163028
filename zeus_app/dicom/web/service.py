"""DICOMweb answers made from DICOM files: QIDO-RS and WADO-RS (DICOM PS3.18), read-only."""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain

from pydicom import dcmwrite

from zeus_app.dicom.content import START_BYTES, has_preamble
from zeus_app.dicom.web.files import WebFile, WebFiles
from zeus_app.dicom.web.json_model import Json, read_data_set, to_json
from zeus_app.dicom.web.paths import WebPath
from zeus_app.dicom.web.pixels import Part, frames, picture
from zeus_app.dicom.web.search import read_search
from zeus_app.errors import UnknownNameError

JSON_TYPE = "application/dicom+json"
_THUMBNAIL_PX = 128
_NUMBER = "00200013"


@dataclass(frozen=True)
class WebAnswer:
    """An answer with status 200.

    Attributes:
        media_type: of the body.
        body: its bytes, in pieces.
    """

    media_type: str
    body: Iterable[bytes]


def answer(
    files: WebFiles, path: WebPath, *, parameters: Sequence[tuple[str, str]] = (), accept: str = ""
) -> WebAnswer:
    """Answer one request about files.

    Args:
        files: the files that a viewer may see.
        path: of the resource.
        parameters: of the address, for searches.
        accept: the request's header.

    Raises:
        UnknownNameError: there is no such resource.
        InputError: a parameter or a file cannot be used.
    """
    if path.kind in ("studies", "series", "instances"):
        return _json(_listed(files, path, parameters))
    found = list(files.files(path))
    if not found:
        raise _no_such(path)
    if path.kind == "metadata":
        return _json([_metadata(files, file)[0] for file in found])
    if path.kind == "":
        return _multipart("application/dicom", map(_dicom_part, found))
    if path.kind == "frames":
        parts = frames(found[0].path, path.frames, accept=accept)
        first = next(parts)  # what cannot be decoded is refused before the answer begins
        return _multipart(first.media_type, chain([first], parts))
    if path.kind == "bulkdata":
        value = _bulk(files, found[0], path)
        return _multipart("application/octet-stream", [Part("application/octet-stream", value)])
    most_px = _THUMBNAIL_PX if path.kind == "thumbnail" else 0
    middle = found[len(found) // 2].path
    return WebAnswer("image/png", [picture(middle, (*path.frames, 1)[0], most_px=most_px)])


def _listed(files: WebFiles, path: WebPath, parameters: Sequence[tuple[str, str]]) -> list[Json]:
    search = read_search(parameters)
    if path.kind == "studies":
        return search.of(files.studies())
    if path.kind == "series":
        return search.of(files.series(path))
    return search.of(sorted(files.instances(path), key=_instance_number))


def _instance_number(item: Json) -> int:
    values = item.get(_NUMBER, {}).get("Value", [])
    return values[0] if values and isinstance(values[0], int) else 0


def _metadata(files: WebFiles, file: WebFile) -> tuple[Json, list[bytes]]:
    """The metadata of a file, and the long values that have addresses of their own."""
    data = read_data_set(file.path)
    return to_json(data, bulk_address=f"{files.root}/{file.address}/bulkdata")


def _bulk(files: WebFiles, file: WebFile, path: WebPath) -> bytes:
    values = _metadata(files, file)[1]
    if path.instance and path.bulk.isdecimal() and int(path.bulk) < len(values):
        return values[int(path.bulk)]
    raise _no_such(path)


def _dicom_part(file: WebFile) -> Part:
    """The file as it is; what old scanners write gets the preamble that it lacks."""
    content = file.path.read_bytes()
    if not has_preamble(content[:START_BYTES]):
        whole, data = BytesIO(), read_data_set(file.path, pixels=True)
        data.file_meta.TransferSyntaxUID = (
            "1.2.840.10008.1.2" if data.is_implicit_VR else "1.2.840.10008.1.2.1"
        )
        dcmwrite(whole, data, write_like_original=False)
        content = whole.getvalue()
    return Part("application/dicom", content)


def _json(items: list[Json]) -> WebAnswer:
    return WebAnswer(JSON_TYPE, [json.dumps(items, allow_nan=False).encode()])


def _multipart(media_type: str, parts: Iterable[Part]) -> WebAnswer:
    """Parts with a boundary between (RFC 2387)."""
    boundary = secrets.token_hex(16)
    kind = media_type.split(";")[0]
    return WebAnswer(
        f'multipart/related; type="{kind}"; boundary={boundary}', _pieces(parts, boundary)
    )


def _pieces(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield f"--{boundary}\r\nContent-Type: {part.media_type}\r\n\r\n".encode()
        yield part.body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _no_such(path: WebPath) -> UnknownNameError:
    return UnknownNameError(
        f"DICOMweb resource {path.text[:300]!r}",
        expected="a study, series or image that this server shows",
        remedy="list the studies with GET /proxy/dicom/qido/studies",
    )
