"""Zeus: multi-sequence MRI segmentation by text instructions. Importing it does nothing.

    zeus = zeus_app.load("brain_tumour", studies="/data/mri")
    study = zeus_app.open_study("/data/mri/anna", target="brain_tumour")
    result = zeus.segment(study)

`load` and `open_study` tell shapes and units. A name is imported at its first use, because PyTorch
takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeus_app.api.loading import load as load
    from zeus_app.api.model import ZeusModel as ZeusModel
    from zeus_app.api.opening import open_study as open_study
    from zeus_app.api.output import save_mask as save_mask

_HOMES = {
    "ZeusModel": "zeus_app.api.model",
    "load": "zeus_app.api.loading",
    "open_study": "zeus_app.api.opening",
    "save_mask": "zeus_app.api.output",
}
__all__ = ["ZeusModel", "load", "open_study", "save_mask"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
