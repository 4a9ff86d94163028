"""Finds new, changed and removed studies of a PACS while the server runs, when a client asks.

An Orthanc is asked for the number of its newest change. Other PACS are asked for the studies of
today and yesterday, and for the whole list at most a tenth of the time.
"""

import logging
import time

from zeus_app.errors import PacsAwayError
from zeus_app.server.pacs.catalogue import PacsCatalogue
from zeus_app.server.studies.study_search import StudySearch, tell
from zeus_app.storage.state import StateFolder

LEAST_REST_S = 5.0
_FRESH_S = 60.0
"""A saved list that is younger is used at a start: a training begins beside its server."""
_SHARE = 10
"""A whole list is asked for again after this many times as long as the last one took."""
_LEAST_AGE_S, _LEAST_AGE_UNCHANGED_S = 20.0, 60.0
logger = logging.getLogger(__name__)


class PacsSearch(StudySearch):
    """Looks for studies of a PACS, one look at a time.

    Args:
        catalogue: the studies.
        state: the state folder.
    """

    least_rest_s = LEAST_REST_S

    def __init__(self, catalogue: PacsCatalogue, state: StateFolder) -> None:
        super().__init__(catalogue, state.pacs, state.root)
        self._pacs = catalogue
        self._change: int | None = None
        self._asked_at_s = float("-inf")  # of the monotonic clock; when the whole list was asked

    def search(self) -> None:
        """Ask for the whole list now. Studies that could not be used are tried again.

        Raises:
            PacsError: the PACS does not answer; at the first search only without a saved list.
        """
        with self._searching:
            if self._searched_at_ns:
                self._ask()
            else:
                self._start()
            self._pacs.forget_left_out()
            self._find()

    def _start(self) -> None:
        """Take the saved list if it is fresh, or if the PACS is away; else ask."""
        age_s = self._pacs.list.read_saved()
        if age_s is not None and age_s < _FRESH_S:
            return
        try:
            self._ask()
        except PacsAwayError as error:
            if age_s is None:
                raise
            logger.warning(
                "Zeus: serving the list of the PACS of %.0f minutes ago. %s", age_s / 60, error
            )

    def _ask(self) -> None:
        # The number first: what changes meanwhile is then seen at the next look.
        self._change = self._pacs.web.last_change()
        self._pacs.list.ask()
        self._asked_at_s = time.monotonic()

    def _changed(self) -> bool:
        """Ask the PACS, and tell whether its list or an unusable sequence has changed."""
        before = self._pacs.list.studies
        change = self._pacs.web.last_change()
        is_unchanged = change is not None and change == self._change
        if is_unchanged:
            least_s = _LEAST_AGE_UNCHANGED_S  # an Orthanc does not tell what was removed
        else:
            least_s = _LEAST_AGE_S if change is None else 0.0
        age_s = time.monotonic() - self._asked_at_s
        if age_s >= max(least_s, _SHARE * self._pacs.list.took_s):
            self._ask()
        elif not is_unchanged:
            self._pacs.list.ask_for_recent()
        return self._pacs.list.studies != before

    def _find(self) -> None:
        before = self._pacs.studies, {*self._pacs.problems}
        self._pacs.refresh()
        if self._searched_at_ns:  # the first search is told by `ServerContext.log_studies`
            tell(self._pacs, *before)
        self._searched_at_ns = time.time_ns()
