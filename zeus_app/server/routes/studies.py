"""Routes for studies: the list, background encoding, and the modules of the model."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from zeus_app.describe import describe as describe_modules
from zeus_app.errors import InputError
from zeus_app.profiles import load_profile
from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import USER
from zeus_app.studies.listing import studies_as_json

_MAX_DIGITS = 6


def study_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """GET /studies, POST /studies/{study}/prepare and GET /describe."""
    router = APIRouter()

    @router.get("/studies", dependencies=[USER])
    def studies(refresh: bool = False) -> dict[str, Any]:
        """List the studies with their sequences, and the studies that cannot be used.

        Each study has its pseudonymous patient, the evidence for each sequence, the images that
        are not used, with the reasons, and the files that may be masks.
        """
        store = context().datastore
        if refresh:
            store.refresh()
        else:
            context().look()
        labelled = set(store.get_labeled_images())
        return studies_as_json(store.catalogue.studies, store.problems, labelled=labelled)

    @router.post("/studies/{study}/prepare", dependencies=[USER], status_code=202)
    def prepare(study: str, slices: str = "") -> dict[str, Any]:
        """Encode a study in the background, the given axial slices first, for example 12,13.

        Slices are counted from the feet on the canonical grid, as in an answer's instructions.
        """
        ctx = context()
        ctx.encode(ctx.datastore.catalogue.resolve(study), first=_slice_indices(slices))
        return {"preparing": ctx.background_encoder.as_json()}

    @router.get("/describe", dependencies=[USER])
    def describe() -> list[dict[str, Any]]:
        """List the model's modules: which are trained, how many parameters, how much memory."""
        ctx = context()
        profile = load_profile(ctx.config.profile)
        return [vars(module) for module in describe_modules(ctx.config, profile, ctx.target)]

    return router


def _slice_indices(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and len(word) <= _MAX_DIGITS for word in words):
        raise InputError(
            f"slices {text[:80]!r}",
            expected=f"whole numbers from 0, of at most {_MAX_DIGITS} digits, and commas between",
            remedy="send for example slices=12,13",
        )
    return tuple(map(int, words))
