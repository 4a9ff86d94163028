"""A PACS over DICOMweb: its list of studies, headers without pixels, whole series, and STOW.

The requests and the parsing are dicomweb-client's. This module adds what a hospital needs: time
limits, one host, and errors that say what to do. Each answer is checked before it is used.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urljoin, urlsplit

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from zeus_app.dicom.web.errors import NotInPacsError, NotOfferedError, asking, not_there
from zeus_app.dicom.web.paths import is_uid
from zeus_app.dicom.web.store import failure_of, failure_of_refusal, not_stored
from zeus_app.errors import PacsAwayError, PacsError
from zeus_app.settings.pacs import PacsAccess

Item = Mapping[str, Any]
"""One data set in DICOM's JSON model (PS3.18 F): tag -> {"vr": ..., "Value": [...]}."""
PAGE = 500
"""Studies that one request asks for. A PACS may answer fewer, or all."""
MOST_ITEMS = 200_000
"""A list that is longer is cut: a PACS that answers without end would fill the memory."""
_MOST_CONNECT_S = 10.0
_CHUNK_BYTES = 1 << 20
_MOST_STORED_BYTES = 1 << 31
"""An object up to this size is sent in one piece: not every PACS takes a request in chunks."""
_DICOMWEB = re.compile(r"/dicom-?web$", re.IGNORECASE)
_BULK = re.compile(r"/studies/[0-9.]+/series/[0-9.]+/instances/[0-9.]+/[\w./-]*$", re.ASCII)
logger = logging.getLogger(__name__)


class DicomWeb:
    """One PACS. Its methods may be called by several threads.

    Args:
        access: the address and the credentials.

    Attributes:
        url: root of the DICOMweb services.
        filters: keyword -> value that the studies of the settings match.
    """

    def __init__(self, access: PacsAccess) -> None:
        self.url, self.filters = access.url, access.filters
        self._session = session_of(access)
        # It logs one line for each request.
        logging.getLogger("dicomweb_client").setLevel(logging.WARNING)
        self._client = DICOMwebClient(access.url, session=self._session, chunk_size=_CHUNK_BYTES)
        self._client.set_http_retry_params(retry=False)
        self._storing = DICOMwebClient(
            access.url, session=self._session, chunk_size=_MOST_STORED_BYTES
        )
        self._storing.set_http_retry_params(retry=False)
        self._changes_url = _changes_url(access)

    def __str__(self) -> str:
        return self.url

    @property
    def session(self) -> requests.Session:
        """The session of the PACS: with credentials, time limits and one host."""
        return self._session

    def studies(self, filters: Mapping[str, str], fields: Sequence[str]) -> Iterator[Item]:
        """The studies that match (QIDO-RS), page by page. A study may come twice.

        Args:
            filters: keyword -> value. A PACS may ignore a filter.
            fields: keywords of further elements that are wanted. A PACS may leave them out.

        Raises:
            PacsError: the PACS does not answer, or answers something else than DICOM's JSON.
        """
        try:
            yield from self._pages(filters, fields)
        except NotOfferedError:
            logger.info("Zeus: the PACS refuses a list with chosen fields; it is asked without")
            yield from self._pages(filters, [])

    def _pages(self, filters: Mapping[str, str], fields: Sequence[str]) -> Iterator[Item]:
        seen: set[str] = set()
        while len(seen) < MOST_ITEMS:
            with self._asking("its list of studies"):
                page = _items(
                    self._client.search_for_studies(
                        limit=PAGE, offset=len(seen), fields=fields, search_filters=dict(filters)
                    )
                )
            new = {text_of(item, "StudyInstanceUID"): item for item in page}
            new = {uid: item for uid, item in new.items() if uid not in seen}
            yield from new.values()
            seen |= new.keys()
            # Without new studies, the PACS ignores the offset; a longer page is all there is.
            if not new or len(page) > PAGE:
                return

    def series(self, study_uid: str, filters: Mapping[str, str]) -> list[Item]:
        """The series of a study that match (QIDO-RS); empty if the PACS has no such study.

        Raises:
            PacsError: see `studies`.
        """
        with self._asking(f"the series of study {study_uid}"):
            return _items(self._client.search_for_series(study_uid, search_filters=dict(filters)))

    def study_of_series(self, series_uid: str) -> str:
        """The Study Instance UID of a series (QIDO-RS over all studies); empty if none has it.

        Raises:
            PacsError: see `studies`.
        """
        try:
            with self._asking(f"the study of series {series_uid}"):
                found = _items(
                    self._client.search_for_series(
                        search_filters={"SeriesInstanceUID": series_uid}, limit=1
                    )
                )
        except (NotInPacsError, NotOfferedError):
            return ""
        # A PACS may ignore the filter.
        own = (item for item in found if text_of(item, "SeriesInstanceUID") == series_uid)
        return next((text_of(item, "StudyInstanceUID") for item in own), "")

    def metadata(self, study_uid: str) -> list[Item]:
        """The headers of all images of a study (WADO-RS), or series by series where a PACS must.

        Raises:
            NotInPacsError: the PACS has no such study.
            PacsError: see `studies`.
        """
        try:
            with self._asking(f"the headers of study {study_uid}"):
                return _items(self._client.retrieve_study_metadata(study_uid))
        except PacsError as error:
            logger.info("Zeus: study %s is asked for series by series: %s", study_uid, error)
            return self._metadata_by_series(study_uid)

    def _metadata_by_series(self, study_uid: str) -> list[Item]:
        uids = [text_of(item, "SeriesInstanceUID") for item in self.series(study_uid, {})]
        if not uids:
            raise not_there(self.url, f"study {study_uid}")
        headers: list[Item] = []
        for uid in filter(is_uid, uids):
            with self._asking(f"the headers of series {uid}"):
                headers += _items(self._client.retrieve_series_metadata(study_uid, uid))
        return headers

    def small_bulk(self, address: str) -> bytes:
        """A value that a header leaves out (bulk data), of this PACS alone.

        Args:
            address: where the header says it is. Its host is not used: behind a proxy it is wrong.

        Raises:
            NotInPacsError: the address is none of a study.
            PacsError: see `studies`.
        """
        below = _BULK.search(address)
        if not below:
            raise not_there(self.url, "a value of a header")
        with self._asking("a value of a header"):
            parts = self._client.retrieve_bulkdata(
                f"{self.url}{below[0]}", media_types=("application/octet-stream",)
            )
        return b"".join(parts)

    def retrieve_series(self, study_uid: str, series_uid: str) -> Iterator[pydicom.FileDataset]:
        """The images of a series (WADO-RS), one at a time, in the syntax that the PACS stores.

        Raises:
            NotInPacsError: the PACS has no such series.
            PacsError: the answer ends early, or is no DICOM; see also `studies`.
        """
        for media_types in ((("application/dicom", "*"),), None):
            try:
                with self._asking(f"series {series_uid}"):
                    yield from self._client.iter_series(
                        study_uid, series_uid, media_types=media_types
                    )
                return
            except NotOfferedError:
                if media_types is None:
                    raise

    def has_instance(self, study_uid: str, series_uid: str, sop_uid: str) -> bool:
        """Whether the PACS has an object (QIDO-RS).

        Raises:
            PacsError: see `studies`.
        """
        with self._asking(f"object {sop_uid}"):
            items = _items(
                self._client.search_for_instances(
                    study_uid, series_uid, search_filters={"SOPInstanceUID": sop_uid}
                )
            )
        return any(text_of(item, "SOPInstanceUID") == sop_uid for item in items)

    def store(self, data: pydicom.Dataset) -> None:
        """Store an object (STOW-RS). It is sent once, and an answer that it was stored is awaited.

        Raises:
            PacsError: the PACS did not store it, with the reason of the PACS.
        """
        sop_uid, what = str(data.SOPInstanceUID), f"{data.Modality} {data.SOPInstanceUID}"
        with self._asking(f"the storage of {what}"):
            try:
                answer = self._storing.store_instances([data], str(data.StudyInstanceUID))
            except requests.HTTPError as error:
                reason = failure_of_refusal(error.response, sop_uid)
                status = error.response.status_code
                raise not_stored(self.url, what, reason, status=status) from error
        if reason := failure_of(answer, sop_uid):
            raise not_stored(self.url, what, reason)

    def last_change(self) -> int | None:
        """Number of the newest change in an Orthanc; None if the PACS is none or hides it.

        Raises:
            PacsAwayError: the PACS does not answer.
        """
        if not self._changes_url:
            return None
        try:
            with self._asking("its newest change"):
                answer = self._session.get(f"{self._changes_url}?last")
                answer.raise_for_status()
                last = answer.json()["Last"]
        except PacsAwayError:
            raise
        except (PacsError, KeyError, TypeError):
            last = None
        if not isinstance(last, int):
            logger.info("Zeus: %s has no list of changes; its list of studies is asked for", self)
            self._changes_url = ""
            return None
        return last

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return asking(self.url, what)


def text_of(item: Item, keyword: str) -> str:
    """The first value of an element as text; empty without one. Never raises."""
    tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    first = values[0] if isinstance(values, list) and values else ""
    return str(first).strip() if isinstance(first, str | int | float) else ""


def texts_of(item: Item, keyword: str) -> tuple[str, ...]:
    """All values of an element as texts; some PACS send several in one, with backslashes."""
    element = item.get(f"{pydicom.datadict.tag_for_keyword(keyword):08X}")
    values = element.get("Value") if isinstance(element, Mapping) else None
    texts = [value for value in values or () if isinstance(value, str)]
    return tuple(part.strip() for text in texts for part in text.split("\\"))


def session_of(access: PacsAccess) -> requests.Session:
    """A session with credentials, certificates, time limits and one host."""
    session = requests.Session()
    # No proxies, and no credentials of .netrc; requests would also prefer the environment's CA.
    session.trust_env = False
    if access.user or access.password:
        session.auth = (access.user, access.password)
    if access.token:
        session.headers["Authorization"] = f"Bearer {access.token}"
    settings = access.settings
    session.verify = str(settings.pacs_ca) if settings.pacs_ca else True
    session.cert = str(settings.pacs_client_certificate or "") or None
    session.hooks["response"].append(_refuse_other_host)
    # A PACS may close a connection that was idle; then the request is sent once more.
    adapter = HTTPAdapter(max_retries=Retry(total=1, status=0, redirect=0, backoff_factor=0.1))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.get = _get_within(session.get, settings.pacs_timeout_s)
    session.post = _post_within(session.post, settings.pacs_timeout_s)
    return session


def _get_within(get: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    """`Session.get` with a time limit, which dicomweb-client does not set."""
    limits = (min(timeout_s, _MOST_CONNECT_S), timeout_s)

    def get_within(
        url: str, headers: Mapping[str, str] | None = None, stream: bool = False
    ) -> requests.Response:
        return get(url, headers=_without_host(headers), stream=stream, timeout=limits)

    return get_within


def _post_within(post: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    """`Session.post` with a time limit, which asks for JSON: the default of STOW-RS is XML."""
    limits = (min(timeout_s, _MOST_CONNECT_S), timeout_s)

    def post_within(
        url: str, data: bytes, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        sent = {**_without_host(headers), "Accept": "application/dicom+json"}
        answer: requests.Response = post(url, data=data, headers=sent, timeout=limits)
        # dicomweb-client does not know a type with parameters, such as a charset.
        kind = answer.headers.get("Content-Type", "")
        answer.headers["Content-Type"] = kind.partition(";")[0].strip()
        return answer

    return post_within


def _without_host(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers without the Host of dicomweb-client, which lacks the port."""
    return {name: value for name, value in (headers or {}).items() if name != "Host"}


def _refuse_other_host(response: requests.Response, **_: object) -> None:
    """Follow no redirect to another host: it would get credentials, or send foreign images."""
    if not response.is_redirect:
        return
    target = urljoin(response.url, response.headers["location"])
    old, new = urlsplit(response.url), urlsplit(target)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        raise PacsError(
            f"the PACS at {old.scheme}://{old.netloc} redirects to {new.scheme}://{new.hostname}",
            expected="answers from the host that --studies names",
            remedy="if the other host is right, start with its address",
        )


def _changes_url(access: PacsAccess) -> str:
    """Where an Orthanc lists its changes; empty if it shall not be asked."""
    setting = access.settings.pacs_changes
    if setting != "auto":
        return "" if setting == "off" else setting
    return _DICOMWEB.sub("/changes", access.url) if _DICOMWEB.search(access.url) else ""


def _items(answer: object) -> list[Item]:
    """The data sets of an answer. Raises TypeError for other JSON."""
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
        raise TypeError("no list of data sets")
    return answer
