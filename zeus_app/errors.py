"""Errors that the caller can fix. Every other exception is a fault of Zeus."""


class InputError(Exception):
    """Bad input. The server answers with status 400.

    Args:
        came: what was given, with the wrong value, for example "slice 40".
        expected: what is valid, for example "0 to 29".
        remedy: what the user can do, with an example where one helps.
    """

    status = 400

    def __init__(self, came: str, *, expected: str, remedy: str) -> None:
        super().__init__(f"{came}. Expected: {expected}. What to do: {remedy}.")
        self.came = came
        self.expected = expected
        self.remedy = remedy


class UnknownNameError(InputError):
    """An unknown name. The server answers with status 404."""

    status = 404


class TooLargeError(InputError):
    """More than the server takes. The server answers with status 413."""

    status = 413


class PacsError(InputError):
    """The PACS refuses, or answers something else than DICOMweb. The server answers with 502.

    The study itself may be sound: it stays on the list of studies.
    """

    status = 502


class PacsAwayError(PacsError):
    """The PACS does not answer now. The server answers with status 503."""

    status = 503


class CancelledError(Exception):
    """The user cancelled the work. Nothing incomplete was written."""


class BusyError(Exception):
    """Too many requests wait. The server answers with status 503 and Retry-After.

    Args:
        came: what waits, with its number.
        retry_after_s: whole seconds to wait before the next try, at least 1.
    """

    status = 503

    def __init__(self, came: str, *, retry_after_s: int) -> None:
        super().__init__(f"{came}. What to do: try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s
