"""Looks for news while the server runs, when a client asks. Nothing runs between requests."""

import logging
import threading
import time
from abc import ABC, abstractmethod

from zeus_app.errors import InputError

logger = logging.getLogger(__name__)

WAIT_S = 3.0
"""How long a request waits for a look; the look then goes on for the next request."""
QUICK_S = 0.2
"""After a longer look the next one waits as long as this one took."""
MOST_REST_S = 30.0


class Lookout(ABC):
    """One look at a time, in a thread of its own.

    Attributes:
        sought: what is looked for, for the log.
        least_rest_s: shortest pause between two looks, in seconds.
    """

    sought: str
    least_rest_s = 0.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._rests_until_s = 0.0  # of the monotonic clock

    def look(self, *, wait_s: float = WAIT_S) -> None:
        """Look for news, unless a look has just ended.

        Args:
            wait_s: how long to wait for the result, in seconds.
        """
        thread = self._looking(is_urgent=False)
        if thread:
            thread.join(wait_s)

    def look_at_once(self, *, wait_s: float) -> None:
        """Look for news that came before this call, without a pause after an earlier look.

        Args:
            wait_s: how long to wait for an earlier look, and then for this one, in seconds.
        """
        with self._lock:
            earlier = self._thread  # it may have asked too early
        if earlier:
            earlier.join(wait_s)
        thread = self._looking(is_urgent=True)
        if thread:
            thread.join(wait_s)

    def _looking(self, *, is_urgent: bool) -> threading.Thread | None:
        """The thread that looks, started if there is none; None during the pause after a look."""
        with self._lock:
            if self._thread is None and (is_urgent or time.monotonic() >= self._rests_until_s):
                self._thread = threading.Thread(target=self._look, name=self.sought, daemon=True)
                self._thread.start()
            return self._thread

    def _look(self) -> None:
        began_s = time.monotonic()
        try:
            self.look_now()
        except InputError as error:
            logger.warning("Zeus: no new %s can be found: %s", self.sought, error)
        except Exception:
            logger.exception("Zeus: no new %s can be found", self.sought)
        finally:
            took_s = time.monotonic() - began_s
            with self._lock:
                rest_s = min(took_s, MOST_REST_S) if took_s > QUICK_S else 0.0
                self._rests_until_s = time.monotonic() + max(rest_s, self.least_rest_s)
                self._thread = None

    @abstractmethod
    def look_now(self) -> None:
        """Look for news in this thread. `look` logs an InputError and tries again later."""
