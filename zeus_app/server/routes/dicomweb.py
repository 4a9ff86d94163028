"""/proxy/dicom: DICOMweb for viewers, at the addresses where MONAI Label's OHIF looks for it.

The stock proxy passes any path on, with the client's headers. Here the studies of a folder are
served from their files, and a PACS gets well-formed requests alone.
"""

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from zeus_app.dicom.web.client import DicomWeb
from zeus_app.dicom.web.files import WebFiles
from zeus_app.dicom.web.paths import WebPath, read_path
from zeus_app.dicom.web.proxy import WebProxy
from zeus_app.dicom.web.service import WebAnswer, answer
from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import ANNOTATOR, USER
from zeus_app.server.studies.dicom_ids import DICOMWEB_ROOT
from zeus_app.server.studies.web_studies import SeriesFiles, web_studies

_SERVICES = frozenset({"qido", "wado", "stow"})
"""All have one set of addresses."""


class NotWritableError(InputError):
    """Nothing can be stored here. The server answers with status 403."""

    status = 403


def dicomweb_routes(
    context: Callable[[], ServerContext],
    *,
    pacs: Callable[[], DicomWeb | None],
    results: Callable[[str], SeriesFiles],
) -> APIRouter:
    """Routes that replace MONAI Label's own proxy.

    Args:
        context: gives the running app's context.
        pacs: gives the PACS; None if the studies come from a folder.
        results: gives the files of the SEG and SR of a study, by its Study Instance UID. A folder's
            viewer sees them too.
    """
    router = APIRouter(prefix="/proxy/dicom", include_in_schema=False)

    @router.get("/{address:path}", dependencies=[USER])
    def read(request: Request, address: str) -> Response:
        """Lists, metadata, pixels and files: QIDO-RS and WADO-RS."""
        path, accept = _path(address), request.headers.get("accept", "")
        if web := pacs():
            return _sent(_proxy(web).get(path, query=request.url.query, accept=accept))
        datastore, parameters = context().datastore, request.query_params.multi_items()
        if path.kind == "studies":
            datastore.look()
        studies = datastore.catalogue.studies
        files = WebFiles(lambda uid: web_studies(uid, studies, results), DICOMWEB_ROOT)
        return _sent(answer(files, path, parameters=parameters, accept=accept))

    @router.post("/{address:path}", dependencies=[ANNOTATOR])
    async def store(request: Request, address: str) -> Response:
        """DICOM files that a viewer stores in the PACS: STOW-RS."""
        path = _path(address)
        proxy = _writable(pacs(), path, is_allowed=context().config.pacs_viewer_write)
        body, media_type = await request.body(), request.headers.get("content-type", "")
        return _sent(await run_in_threadpool(proxy.store, path, body, media_type))

    return router


def _path(address: str) -> WebPath:
    service, _, rest = address.partition("/")
    return read_path(rest if service in _SERVICES else address)


def _proxy(web: DicomWeb) -> WebProxy:
    return WebProxy(web.url, web.session, root=DICOMWEB_ROOT)


def _writable(web: DicomWeb | None, path: WebPath, *, is_allowed: bool) -> WebProxy:
    """The proxy, if viewers may store files there. Raises NotWritableError."""
    if web is None:
        raise NotWritableError(
            "DICOM files for a studies folder, which Zeus never changes",
            expected="GET alone",
            remedy="copy the files into the studies folder yourself; a mask becomes a label with"
            " PUT /datastore/label?image=<Series Instance UID>",
        )
    if not is_allowed:
        raise NotWritableError(
            "DICOM files for the PACS, which viewers may not write to",
            expected="GET alone",
            remedy="start the server with pacs_viewer_write=true, or store them in the PACS itself",
        )
    if path.kind not in ("studies", "") or path.series:
        raise NotWritableError(
            f"DICOM files at {path.text[:200]!r}",
            expected="studies, or studies/{uid}",
            remedy="send them to /proxy/dicom/wado/studies",
        )
    return _proxy(web)


def _sent(made: WebAnswer) -> Response:
    if isinstance(made.body, list):
        return Response(b"".join(made.body), media_type=made.media_type)
    return StreamingResponse(made.body, media_type=made.media_type)
