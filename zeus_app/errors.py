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
