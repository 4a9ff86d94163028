"""What Zeus raises when the caller, not Zeus, has to change something."""


class InputError(Exception):
    """Bad input: what came, what was expected, what to do. Over HTTP it is a 400.

    Args:
        came: what was given, with the offending value.
        expected: what would have been right.
        remedy: what the user can do about it.
    """

    status = 400

    def __init__(self, came: str, *, expected: str, remedy: str) -> None:
        super().__init__(f"{came}. Expected: {expected}. What to do: {remedy}.")
        self.came = came
        self.expected = expected
        self.remedy = remedy


class UnknownNameError(InputError):
    """A name that nothing here answers to. Over HTTP it is a 404."""

    status = 404


class CancelledError(Exception):
    """The user asked for this work to stop; nothing half-done was written."""


class BusyError(Exception):
    """Too much waits already. Over HTTP it is a 503 with Retry-After.

    Args:
        came: what there is too much of.
        retry_after_s: whole seconds after which a try may succeed, at least 1.
    """

    status = 503

    def __init__(self, came: str, *, retry_after_s: int) -> None:
        super().__init__(f"{came}. What to do: try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s
