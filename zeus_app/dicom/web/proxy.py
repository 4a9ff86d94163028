"""A viewer's requests, passed on to the PACS of the settings and to no other host.

The viewer is a page of this server, and has no credentials of the PACS: Zeus adds its own. Only
addresses that `paths.py` has read are passed on, and only answers that hold DICOM come back.
"""

from collections.abc import Iterator
from typing import Protocol

import requests

from zeus_app.dicom.web.errors import asking, no_dicom
from zeus_app.dicom.web.paths import WebPath
from zeus_app.dicom.web.service import WebAnswer
from zeus_app.errors import InputError

_CHUNK_BYTES = 1 << 18
_MOST_JSON_BYTES = 1 << 29
_JSON = frozenset({"application/dicom+json", "application/json"})
_DICOM = frozenset({"multipart/related", "application/dicom", "application/octet-stream"})
_NO_PICTURE = "image/svg+xml"  # a page may hold a program
_MULTIPART = "multipart/related"


class Session(Protocol):
    """The parts of a requests session that are used. It adds credentials and time limits."""

    def get(self, url: str, headers: dict[str, str], stream: bool) -> requests.Response:
        """Ask for a resource."""

    def post(self, url: str, data: bytes, headers: dict[str, str]) -> requests.Response:
        """Send DICOM files."""


class WebProxy:
    """The DICOMweb resources of one PACS.

    Args:
        url: root of the PACS's DICOMweb services, without credentials.
        session: with the credentials.
        root: address of this server below which the resources are. It replaces the address of the
            PACS in answers, so that the viewer asks this server again.
    """

    def __init__(self, url: str, session: Session, *, root: str) -> None:
        self._url, self._session, self._root = url.rstrip("/"), session, root

    def get(self, path: WebPath, *, query: str = "", accept: str = "") -> WebAnswer:
        """Ask the PACS for a resource.

        Args:
            path: of the resource.
            query: the parameters of the address, encoded.
            accept: the request's header.

        Raises:
            NotInPacsError: the PACS has no such resource.
            PacsAwayError: the PACS does not answer.
            PacsError: the PACS refuses, or answers something else than DICOM.
        """
        url = f"{self._url}/{path.text}" + (f"?{query}" if query else "")
        with asking(self._url, path.text):
            answer = self._session.get(url, headers={"Accept": accept or "*/*"}, stream=True)
            answer.raise_for_status()
        return self._passed_on(answer, path)

    def store(self, path: WebPath, body: bytes, media_type: str) -> WebAnswer:
        """Store DICOM files that a viewer sends (STOW-RS).

        Args:
            path: `studies` or `studies/{uid}`.
            body: parts of DICOM.
            media_type: of the body.

        Raises:
            InputError: the body is something else than parts of DICOM.
            PacsError: as `get`.
        """
        if _kind(media_type) != _MULTIPART or "application/dicom" not in media_type:
            raise InputError(
                "a body that is no DICOM",
                expected='multipart/related; type="application/dicom"',
                remedy="send DICOM files as STOW-RS describes it",
            )
        with asking(self._url, "the storage of a viewer's files"):
            answer = self._session.post(
                f"{self._url}/{path.text}", data=body, headers={"Content-Type": media_type}
            )
            answer.raise_for_status()
        return self._passed_on(answer, path)

    def _passed_on(self, answer: requests.Response, path: WebPath) -> WebAnswer:
        media_type = answer.headers.get("Content-Type", "")
        kind = _kind(media_type)
        if kind in _JSON or not kind:
            return WebAnswer("application/dicom+json", [self._json(answer, path)])
        if kind in _DICOM or (kind.startswith("image/") and kind != _NO_PICTURE):
            return WebAnswer(media_type, _pieces(answer))
        answer.close()
        raise no_dicom(self._url, path.text, f"Content-Type {kind[:80]}")

    def _json(self, answer: requests.Response, path: WebPath) -> bytes:
        """An answer whose addresses lead to this server; a list of nothing if it is empty."""
        body = bytearray()
        with asking(self._url, path.text), answer:
            for piece in answer.iter_content(_CHUNK_BYTES):
                body += piece
                if len(body) > _MOST_JSON_BYTES:
                    raise no_dicom(self._url, path.text, "an answer without end")
        url, root = f'"{self._url}/', f'"{self._root}/'
        body = body.replace(url.encode(), root.encode())
        return bytes(body.replace(_escaped(url).encode(), root.encode())) or b"[]"


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.iter_content(_CHUNK_BYTES)


def _kind(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _escaped(address: str) -> str:
    """An address as some writers of JSON have it."""
    return address.replace("/", "\\/")
