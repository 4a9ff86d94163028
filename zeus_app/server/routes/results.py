"""Routes of DICOM results: a study's SEG and SR are made, listed, downloaded and sent."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from zeus_app.server.context import ServerContext
from zeus_app.server.routes.forms import JSON_BODY, FormOrJson
from zeus_app.server.routes.roles import ANNOTATOR, USER
from zeus_app.server.tasks.chosen_sequences import SEQUENCES, read_sequences
from zeus_app.server.tasks.parameters import TAG, WORDS, read_parameters

_PARAMETERS = {"tag": TAG, SEQUENCES: WORDS}
DICOM = "application/dicom"


def result_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /results.

    A result that shall be made may take seconds, and its sending a minute. So all of them work in
    threads.
    """
    router = APIRouter(prefix="/results")

    @router.post("/{study}", dependencies=[ANNOTATOR], openapi_extra=JSON_BODY)
    def make(study: str, params: FormOrJson, tag: str = "", sequences: str = "") -> dict[str, Any]:
        """Make a DICOM SEG and SR of a study's newest label or prediction.

        The address or the body may have `tag` (of a label, or "original" for the prediction;
        without it the final label, or else the prediction) and `sequences`, to whose images the SEG
        refers.
        """
        ctx = context()
        sent = {"tag": tag, SEQUENCES: sequences} | params
        chosen = read_parameters(sent, _PARAMETERS, task="result")
        names = read_sequences(chosen.get(SEQUENCES), ctx.target)
        made = ctx.results.make(study, chosen.get("tag", ""), names)
        study = ctx.datastore.catalogue.study_of(study)
        objects = ctx.results.as_json(study, made.result)
        return {"study": study, "made": made.is_new, "results": objects}

    @router.get("/{study}", dependencies=[USER])
    def results(study: str) -> dict[str, Any]:
        """List the results of a study, the oldest first, and what could not be made."""
        return context().results.listed(study)

    @router.get("/{study}/{sop_uid}", dependencies=[USER])
    def download(study: str, sop_uid: str) -> FileResponse:
        """Download a result as a DICOM file."""
        path = context().results.file(study, sop_uid)
        return FileResponse(path, media_type=DICOM, filename=path.name)

    @router.post("/{study}/{sop_uid}/send", dependencies=[ANNOTATOR])
    def send(study: str, sop_uid: str) -> dict[str, Any]:
        """Send a result to the PACS, for example after it did not answer."""
        return context().results.send(study, sop_uid)

    return router
