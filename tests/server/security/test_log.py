"""The log is one server's own, and a request fills no more than one line of it."""

import logging
import stat
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from zeus_app.server.security.log import (
    TASK_LOGGERS,
    log_one_line_a_record,
    move_log,
    one_line,
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nINFO forged", "a\\nINFO forged"),
        ("a\r\nb", "a\\x0d\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("\x0b\x0c\x00\x7f\x9b", "\\x0b\\x0c\\x00\\x7f\\x9b"),
        ("\ud800", "\\ud800"),
        ("Müller\ttab", "Müller\ttab"),
    ],
)
def test_a_text_fills_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert len(one_line(text).splitlines()) == 1


@pytest.fixture
def stock_log(tmp_path: Path) -> Iterator[Path]:
    """The log in the app's folder, which MONAI Label gives to all its loggers."""
    path = tmp_path / "app" / "app.log"
    path.parent.mkdir()
    factory = logging.getLogRecordFactory()
    for name in ("", *TASK_LOGGERS):
        logging.getLogger(name or None).addHandler(RotatingFileHandler(path, maxBytes=500))
    log_one_line_a_record()
    yield path
    logging.setLogRecordFactory(factory)
    for name in ("", *TASK_LOGGERS):
        logger = logging.getLogger(name or None)
        for handler in [*logger.handlers]:
            if str(tmp_path) in getattr(handler, "baseFilename", ""):
                logger.removeHandler(handler)
                handler.close()


def test_the_log_moves_into_a_folder_of_the_server(stock_log: Path, tmp_path: Path) -> None:
    path = move_log(tmp_path / "state" / "logs", port=8000)
    logging.getLogger("zeus_app.any").warning("first\n%s", "second\n")
    logging.getLogger("task_scoring").warning("third")
    assert {"first\\nsecond\\n", "third"} == set(path.read_text().splitlines())
    assert stock_log.read_text() == ""
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_servers_of_one_state_folder_have_two_logs(stock_log: Path, tmp_path: Path) -> None:
    assert move_log(tmp_path, port=8000) != move_log(tmp_path, port=8001)


def test_no_line_of_an_error_looks_like_a_record(stock_log: Path, tmp_path: Path) -> None:
    path = move_log(tmp_path / "logs", port=8000)
    try:
        raise ValueError("bad\n[INFO] forged\r[INFO] forged\u2028[INFO] forged")
    except ValueError:
        logging.getLogger("zeus_app.any").exception("fault 12")
    lines = path.read_text().splitlines()
    assert lines[0] == "fault 12"
    assert any("forged" in line for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_task_writes_into_the_log_after_it_was_rotated(stock_log: Path, tmp_path: Path) -> None:
    path = move_log(tmp_path / "logs", port=8000)
    logging.getLogger("task_train").warning("a task's first line")
    logging.getLogger("zeus_app.any").warning("x" * 600)  # beyond the 500 bytes of one file
    logging.getLogger("zeus_app.any").warning("new file")
    logging.getLogger("task_train").warning("a task's second line")
    assert path.read_text().splitlines()[-1] == "a task's second line"
