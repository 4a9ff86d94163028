"""One folder for all temporary files of a server. The next server removes what a killed one left.

The folder holds uploads and answers of this moment. Only the server's account can read it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "zeus-server-"
_LOCK = ".lock"


def use_own_temporary_folder() -> Path:
    """Let this process, its libraries and its children put temporary files into a new folder.

    Folders of servers that were killed are removed. A server holds a lock on its folder, and the
    system releases the lock when the server ends, in whatever way.

    Returns:
        the folder. It is removed when the process ends by itself. After a signal (uvicorn raises
        it again at its end) the folder stays, empty but for its lock, until the next server starts.
    """
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)  # open until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        # A folder of another account cannot be opened; one without a lock file begins just now.
        with suppress(OSError), (folder / _LOCK).open("rb") as lock:
            if folder.is_symlink():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
