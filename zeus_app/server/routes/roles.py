"""Who may call a route: MONAI Label's roles as FastAPI dependencies."""

from fastapi import Depends
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User

USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))


def logged_in(user: User) -> dict[str, str]:
    """Parameters that overwrite a request's: the user's name if the server requires a login."""
    return {"user": user.username} if settings.MONAI_LABEL_AUTH_ENABLE else {}
