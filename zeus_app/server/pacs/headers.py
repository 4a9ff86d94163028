"""The headers of a study's images from a PACS, kept on the disk so that they are asked for once.

Only the elements that Zeus reads are kept. The Patient ID is replaced with its pseudonym.
"""

import gzip
import json
import logging
import zlib
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from zeus_app.dicom.enhanced import FRAME_TAGS
from zeus_app.dicom.series import HEADER_TAGS
from zeus_app.dicom.web.client import DicomWeb, Item, text_of
from zeus_app.errors import PacsAwayError, PacsError
from zeus_app.server.pacs.files import digits_of
from zeus_app.server.pacs.study_list import PacsStudy, pseudonym_of
from zeus_app.storage.atomic import write_atomically
from zeus_app.storage.pseudonyms import Pseudonyms

_BULK = "BulkDataURI"
_MOST_BYTES = 1024  # of one value; a b-value has a few
_AT_ONCE = 8  # values that are asked for
_PATIENT = f"{tag_for_keyword('PatientID'):08X}"
logger = logging.getLogger(__name__)


class PacsHeaders:
    """The headers of the studies that were opened.

    Args:
        web: the PACS.
        folder: one compressed JSON file for each study.
        pseudonyms: of the patients.
    """

    def __init__(self, web: DicomWeb, folder: Path, pseudonyms: Pseudonyms) -> None:
        self._web, self._folder, self._pseudonyms = web, folder, pseudonyms

    def of_study(self, study: PacsStudy) -> list[Item]:
        """The headers of all images, in DICOM's JSON; from the disk if the study is as it was.

        Raises:
            NotInPacsError: the PACS no longer has the study.
            PacsError: the PACS does not answer, and the headers are not on the disk.
        """
        path = self._folder / f"{digits_of(study.uid)}.json.gz"
        state, saved = _read(path)
        if saved and state == list(study.state):
            return saved
        try:
            found = self._web.metadata(study.uid)
        except PacsAwayError as error:
            if not saved:
                raise
            logger.warning("Zeus: study %s is opened as it was: %s", study.uid, error)
            return saved
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pacs-headers") as threads:
            headers = list(threads.map(self._kept, found))
        text = json.dumps({"state": study.state, "images": headers})
        write_atomically(
            path, lambda temporary: temporary.write_bytes(gzip.compress(text.encode()))
        )
        return headers

    def _kept(self, item: Item) -> Item:
        """The elements that are kept of one header."""
        kept = {tag: element for tag, element in item.items() if tag.upper() in _kept_tags()}
        for tag, element in tuple(kept.items()):
            if isinstance(element, dict) and _BULK in element:
                kept[tag] = self._with_value(element)
        if _PATIENT in kept:
            pseudonym = pseudonym_of(text_of(item, "PatientID"), self._pseudonyms)
            kept[_PATIENT] = {"vr": "LO", "Value": [pseudonym]} if pseudonym else {"vr": "LO"}
        return kept

    def _with_value(self, element: Mapping[str, Any]) -> dict[str, Any]:
        """An element whose value the header left out: an Orthanc sends vendors' b-values apart."""
        empty = {"vr": element.get("vr", "UN")}
        try:
            value = self._web.small_bulk(str(element[_BULK]))
        except PacsAwayError:
            raise
        except PacsError as error:
            logger.warning("Zeus: the PACS does not send a value of a header: %s", error)
            return empty
        if len(value) > _MOST_BYTES:
            return empty
        return {"vr": "UN", "InlineBinary": b64encode(value).decode("ascii")}


def data_set_of(item: Item) -> pydicom.Dataset:
    """A header as a data set. pydicom raises exceptions of many types for a damaged one."""
    return pydicom.Dataset.from_json(dict(item), lambda *_: b"")


@cache
def _kept_tags() -> frozenset[str]:
    """The elements that the recogniser and the geometry need, as DICOM's JSON writes them."""
    return frozenset(f"{int(Tag(tag)):08X}" for tag in (*HEADER_TAGS, *FRAME_TAGS))


def _read(path: Path) -> tuple[object, list[Item]]:
    """The state of a study when its headers were written, and the headers; none if damaged."""
    try:
        saved: Mapping[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
        return saved["state"], list(saved["images"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return None, []
