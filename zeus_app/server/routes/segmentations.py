"""Routes of the DICOM SEGs that users stored in the PACS."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import ANNOTATOR, USER
from zeus_app.server.segmentations.records import SegmentationRecord
from zeus_app.server.segmentations.search import SegmentationSearch


def segmentation_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /segmentations."""
    router = APIRouter(prefix="/segmentations")

    @router.get("", dependencies=[USER])
    def segmentations(study: str = "") -> dict[str, Any]:
        """List the SEGs that were found in the PACS, the oldest first; of one study if it is named.

        Those with a `reason` are no labels. A SEG that is gone from the PACS stays a label.
        """
        ctx = context()
        search = _search_of(ctx)
        ctx.look()  # a SEG may come with its study
        study = ctx.datastore.catalogue.study_of(study) if study else ""
        records = search.records.all()
        return {"segmentations": [_as_json(r) for r in records if study in ("", r.study)]}

    @router.post("/{sop_uid}/take", dependencies=[ANNOTATOR])
    def take(sop_uid: str) -> dict[str, Any]:
        """Take a listed SEG as the final label of its study, whoever made it."""
        return _as_json(_search_of(context()).take(sop_uid))

    return router


def _search_of(context: ServerContext) -> SegmentationSearch:
    search = context.segmentations
    if search is None:
        raise InputError(
            "the segmentations of a PACS, which this server does not read",
            expected="a server whose studies are in a PACS, with the setting pacs_labels=true",
            remedy="submit labels with PUT /datastore/label, or import them with zeus"
            " import-labels",
        )
    return search


def _as_json(record: SegmentationRecord) -> dict[str, Any]:
    told = asdict(record)
    if record.is_gone and record.version:
        told["offer"] = f"POST /zeus/results/{record.study}?tag=final makes it again for the PACS"
    return told
