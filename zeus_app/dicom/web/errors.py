"""The faults of a PACS, as errors that say what to do.

A PACS may be away, slow or busy, refuse the credentials, have an unknown certificate, send a web
page, or end its answer early. None of this says that a study is unusable.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import requests

from zeus_app.errors import PacsAwayError, PacsError
from zeus_app.settings.pacs import PASSWORD, TOKEN, USER

_REFUSED = frozenset({401, 403})
_NOT_THERE = frozenset({404, 410})
_BUSY = frozenset({408, 429, 503, 504})
_NOT_OFFERED = frozenset({400, 406, 415, 501})


class NotInPacsError(PacsError):
    """The PACS has no such study or series. The server answers with status 404."""

    status = 404


class NotOfferedError(PacsError):
    """The PACS does not know a parameter or a media type of a request."""


@contextmanager
def asking(url: str, what: str) -> Iterator[None]:
    """Turn every fault of a request to a PACS into an error that says what to do.

    Args:
        url: address of the PACS, without credentials.
        what: what the PACS is asked for, for users.

    Raises:
        NotInPacsError: the PACS has no such thing.
        NotOfferedError: the PACS does not know a parameter or a media type.
        PacsAwayError: the PACS does not answer, or ended its answer early.
        PacsError: the PACS refuses, or answers no DICOM.
    """
    try:
        yield
    except PacsError:
        raise
    except requests.HTTPError as error:
        raise _of_status(url, what, error.response.status_code) from error
    except requests.RequestException as error:
        raise _of_connection(url, what, error) from error
    except OSError:
        raise  # a disk of this machine
    except Exception as error:  # pydicom raises exceptions of many types for damaged images
        raise no_dicom(url, what, type(error).__name__) from error


def _of_status(url: str, what: str, status: int) -> PacsError:
    came = f"the PACS at {url} answers {status} when asked for {what}"
    if status in _REFUSED:
        return PacsError(
            came,
            expected="credentials that may read studies",
            remedy=f"set {USER} and {PASSWORD}, or {TOKEN}, or the file pacs_credentials",
        )
    if status in _NOT_THERE:
        return not_there(url, what)
    if status in _BUSY:
        return PacsAwayError(came, expected="a PACS with free capacity", remedy="try again later")
    kind = NotOfferedError if status in _NOT_OFFERED else PacsError
    return kind(
        came,
        expected="an answer of DICOMweb",
        remedy="read the log of the PACS, and check the address after --studies",
    )


def not_there(url: str, what: str) -> NotInPacsError:
    """The error for something that the PACS does not have."""
    return NotInPacsError(
        f"the PACS at {url} has nothing where {what} should be",
        expected="a DICOMweb address, and a study that the PACS still has",
        remedy="look the study up in the PACS, and check the address after --studies",
    )


def _of_connection(url: str, what: str, error: requests.RequestException) -> PacsError:
    is_tls = isinstance(error, requests.exceptions.SSLError)
    if is_tls and "CERTIFICATE_VERIFY_FAILED" not in str(error):
        return PacsError(
            f"the PACS at {url} ends the encrypted connection",
            expected="a PACS that takes TLS, and a certificate of this server if it asks for one",
            remedy="name the file of certificate and key with pacs_client_certificate=FILE; or"
            " start with http:// if the PACS does not encrypt",
        )
    if is_tls:
        return PacsError(
            f"the certificate of the PACS at {url} is not trusted",
            expected="a certificate for this host, signed by a known authority",
            remedy="name the file of your authority with pacs_ca=FILE, or correct the host's name",
        )
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return PacsAwayError(
            f"the PACS at {url} ended its answer early when asked for {what}",
            expected="a complete answer",
            remedy="try again; if it happens again, read the log of the PACS",
        )
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return no_dicom(url, what, "no JSON")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        is_slow = isinstance(error, requests.Timeout) or "timed out" in str(error)
        why = "answers too slowly" if is_slow else "does not answer"
        return PacsAwayError(
            f"the PACS at {url} {why} when asked for {what}",
            expected="a PACS that this machine reaches",
            remedy="check that it runs and the address after --studies, or raise pacs_timeout_s",
        )
    return no_dicom(url, what, type(error).__name__)


def no_dicom(url: str, what: str, fault: str) -> PacsError:
    """The error for an answer that is no DICOM, or a damaged image."""
    return PacsError(
        f"the PACS at {url} answers no DICOM when asked for {what} ({fault})",
        expected="an answer of DICOMweb",
        remedy="check the path of the address after --studies, for example"
        " http://127.0.0.1:8042/dicom-web",
    )
