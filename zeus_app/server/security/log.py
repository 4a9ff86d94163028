"""The log of one server: a file in its state folder, one line a record."""

import logging
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any

TASK_LOGGERS = ("task_train", "task_scoring", "task_batch_infer")
"""Loggers of the processes that a server starts. MONAI Label gives them a file of their own."""
_CONTINUED = "    "
_TALKATIVE = ("highdicom",)
"""Libraries that log each element that they copy."""
_ESCAPED = {
    **{number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if number != 9},
    10: "\\n", 0x2028: "\\u2028", 0x2029: "\\u2029",
}  # fmt: skip
"""Control characters and line breaks, but for the tab."""


class OneLineRecord(logging.LogRecord):
    """A record whose message fills one line, whatever a request put into it.

    The lines of a traceback follow with an indent, so that none of them looks like a record.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            traceback = logging.Formatter().formatException(self.exc_info)
            lines = traceback.split("\n")
            self.exc_text = "\n".join(_CONTINUED + one_line(line) for line in lines)

    def getMessage(self) -> str:
        """The message, with control characters escaped."""
        return one_line(super().getMessage())


def one_line(text: str) -> str:
    """A text without line breaks, control characters and lone surrogates."""
    return text.translate(_ESCAPED).encode("utf-8", "backslashreplace").decode("utf-8")


def log_one_line_a_record() -> None:
    """Let all loggers of this process make one-line records, and some log warnings alone."""
    logging.setLogRecordFactory(OneLineRecord)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def move_log(folder: Path, *, port: int) -> Path:
    """Let this server write its log into a folder of its own.

    MONAI Label's log lies in the folder of the app, which all servers share.

    Args:
        folder: made if it is missing; only this user may read it.
        port: of the server. Two servers of one state folder have two logs.

    Returns:
        The log's path.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"server-{port}.log"
    for name in ("", *TASK_LOGGERS):
        logger = logging.getLogger(name or None)
        for handler in [*logger.handlers]:
            if isinstance(handler, RotatingFileHandler):
                logger.removeHandler(handler)
                logger.addHandler(_task_log(path) if name else _log_like(handler, path))
                handler.close()
    return path


def _log_like(handler: RotatingFileHandler, path: Path) -> RotatingFileHandler:
    moved = RotatingFileHandler(
        path, maxBytes=handler.maxBytes, backupCount=handler.backupCount, encoding="utf-8"
    )
    moved.setFormatter(handler.formatter)
    return moved


def _task_log(path: Path) -> logging.Handler:
    """The same file again; it is opened anew after the server's own handler has rotated it."""
    return WatchedFileHandler(path, encoding="utf-8")
