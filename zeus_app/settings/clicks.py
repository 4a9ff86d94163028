"""Settings of clicks: how long one may encode, and how many masks are kept."""

from pydantic import BaseModel, Field


class ClickSettings(BaseModel):
    """What a 3-D click may cost."""

    click_seconds: float = Field(
        5,
        ge=0,
        description="seconds in which a 3-D click encodes slices, counted from its turn; then it"
        " answers with what is encoded, and the server encodes the rest in the background; 0: no"
        " limit",
    )
    click_masks_mib: int = Field(
        64,
        ge=0,
        description="size limit of the masks of single slices kept in memory, in MiB, so that a"
        " further click makes only those again that it changes; 0: none are kept",
    )
