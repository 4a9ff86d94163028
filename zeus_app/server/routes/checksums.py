"""HEAD /datastore/image: does a client's copy of an image still match the server's?"""

import hashlib
import re
from collections.abc import Callable

from fastapi import APIRouter, HTTPException

from zeus_app.errors import InputError
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER

DIGITS = {"SHA256": 64, "SHA512": 128, "MD5": 32}
"""Algorithm -> hexadecimal digits of its checksum."""
_CHECKSUM = re.compile(r"(?:(\w+):)?([0-9a-fA-F]+)", re.ASCII)


def checksum_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """A route that replaces MONAI Label's own, which fails on an unknown algorithm.

    Args:
        app: returns the running app.
    """
    router = APIRouter(tags=["Datastore"], dependencies=[USER])

    @router.head("/datastore/image")
    def check_image(image: str, check_sum: str | None = None) -> dict[str, str]:
        """Check that an image exists and, if a checksum is sent, that its file has it."""
        checksum = read_checksum(check_sum) if check_sum else None
        catalogue = app().context.datastore.catalogue
        path = catalogue.volume_file(catalogue.resolve(image))
        if checksum is not None:
            algorithm, digest = checksum
            with path.open("rb") as file:
                if hashlib.file_digest(file, algorithm.lower()).hexdigest() != digest:
                    raise HTTPException(404, "the image's file has another checksum")
        return {}

    return router


def read_checksum(text: str) -> tuple[str, str]:
    """The algorithm and the digest of a checksum such as SHA256:e3b0...; SHA256 without a name.

    Raises:
        InputError: another algorithm, or no hexadecimal number of its length.
    """
    match = _CHECKSUM.fullmatch(text)
    algorithm = match[1] or "SHA256" if match else ""
    if match is None or DIGITS.get(algorithm) != len(match[2]):
        raise InputError(
            f"check_sum {text[:80]!r}",
            expected=f"one of {', '.join(DIGITS)}, a colon and all hexadecimal digits",
            remedy="send for example check_sum=MD5:d41d8cd98f00b204e9800998ecf8427e",
        )
    return algorithm, match[2].lower()
