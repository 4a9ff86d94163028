"""Stock routes that Zeus does not have, and the reason for each."""

from fastapi import APIRouter, HTTPException

_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD"]


def refused_routes() -> APIRouter:
    """Routes that replace MONAI Label's own."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/proxy/{path:path}", methods=_METHODS)
    def proxy(path: str) -> None:
        """What `dicomweb.py` does not serve is passed on to nobody."""
        raise HTTPException(404, "no such address; DICOM studies are at /proxy/dicom/qido/studies")

    @router.api_route("/model/{path:path}", methods=_METHODS)
    def model(path: str) -> None:
        """Weights are no files that clients exchange: a weights file may hold code."""
        raise HTTPException(404, "no model file; GET /zeus/checkpoints lists the versions")

    @router.post("/reload")
    def reload() -> None:
        """Start the app again: a matter of the machine's owner."""
        raise HTTPException(410, "/reload is gone; the server's owner starts the server again")

    return router
