"""Count the functions of this project that carry a prompt from the route handler to the mask.

    python scripts/count_click_path.py

The script starts the real app in this process, on a small study made here, and clicks twice on one
axial slice. The first click loads and encodes everything. During the second click, at another
voxel, a profiler looks at every call of a function under zeus_app/, infer/ and apps/.

A function gets the prompt if the prompt is one of its arguments, its `self`, a variable of its
closure, or a field or item of one of these. Raw JSON with "foreground", a mapping with that key and
an object with that attribute are prompts. Lists of bare points are not.

A function carries the prompt if it returns it, or gets it and hands it on: to another function of
this project, or inside a callable to another thread. All other functions that get it only look at
it, for example whether it is empty. The script lists both kinds.

Counting begins at the handler of POST /infer/{model} and ends when the mask is written. Lambdas,
comprehensions and the methods that dataclasses generate do not count.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

import httpx
import nibabel as nib
import numpy as np

import zeus_app

ROOT = Path(zeus_app.__file__).resolve().parents[1]
FOLDERS = tuple(f"{ROOT / folder}{os.sep}" for folder in ("zeus_app", "infer", "apps"))
HANDLER, LAST = "infer", "write_answer"
MOST_DEPTH = 6
"""How many fields, items and closures deep the prompt is looked for."""
MOST_ITEMS = 32
"""Of one collection that are looked at."""
SHAPE = (64, 64, 9)  # voxels of the study
OBJECT = np.s_[20:30, 34:50, 2:6]
FIRST, SECOND = [24, 40, 3], [27, 44, 3]  # voxels inside the object, on one slice


def holds_prompt(value: object, depth: int = MOST_DEPTH) -> bool:
    """Whether a value is a prompt, or has one in its fields or items."""
    if isinstance(value, str):
        return '"foreground"' in value
    if isinstance(value, Mapping) and "foreground" in value:
        return True
    if "foreground" in getattr(value, "__dict__", ()):
        return True
    return depth > 0 and any(holds_prompt(part, depth - 1) for part in parts_of(value))


def parts_of(value: object) -> Iterator[object]:
    """The fields and items of a value. Foreign objects are not opened."""
    if isinstance(value, Mapping):
        yield from list(value.values())[:MOST_ITEMS]
    elif isinstance(value, list | tuple | set):
        yield from list(value)[:MOST_ITEMS]
    elif isinstance(value, FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or () if is_filled(cell))
    elif isinstance(value, MethodType):
        yield value.__self__
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif is_ours(sys.modules.get(type(value).__module__)):
        yield from list(getattr(value, "__dict__", {}).values())


def is_filled(cell: Any) -> bool:
    """Whether a closure's variable has a value yet."""
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def is_ours(module: object) -> bool:
    """Whether a module lies in one of the counted folders."""
    return str(getattr(module, "__file__", "")).startswith(FOLDERS)


def inputs_of(frame: FrameType) -> list[object]:
    """Arguments and closure variables at the moment of a call."""
    code = frame.f_code
    arguments = code.co_argcount + code.co_kwonlyargcount
    arguments += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    names = (*code.co_varnames[:arguments], *code.co_freevars)
    return [frame.f_locals[name] for name in names if name in frame.f_locals]


class Recorder:
    """A profiler for all threads; looks at calls between the handler and the last function."""

    def __init__(self) -> None:
        self.armed = False  # waits for the handler
        self._recording = False
        self._getting: dict[CodeType, None] = {}  # in the order of their first call
        self._handing_on: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        """The hook of sys.setprofile."""
        if event not in ("call", "return") or not is_counted(frame.f_code):
            return
        code = frame.f_code
        if event == "call" and self.armed and code.co_name == HANDLER:
            self.armed, self._recording = False, True
        if event == "call" and code.co_name == LAST:
            self._recording = False
        if not self._recording:
            return
        if event == "return":
            if holds_prompt(value):
                self._note(code, hands_on=True)
            return
        inputs = inputs_of(frame)
        if any(map(holds_prompt, inputs)):
            work = [
                item for item in inputs if isinstance(item, FunctionType | MethodType | partial)
            ]
            self._note(code, hands_on=any(map(holds_prompt, work)))
            if (caller := counted_caller(frame)) in self._getting:
                self._note(caller, hands_on=True)

    def _note(self, code: CodeType, *, hands_on: bool) -> None:
        self._getting[code] = None
        if hands_on:
            self._handing_on.add(code)

    def carriers(self) -> list[CodeType]:
        """The functions that handed the prompt on, in the order of their first call."""
        return [code for code in self._getting if code in self._handing_on]

    def readers(self) -> list[CodeType]:
        """The functions that only looked at the prompt."""
        return [code for code in self._getting if code not in self._handing_on]


def is_counted(code: CodeType) -> bool:
    """Whether code is a named function of this project."""
    return code.co_filename.startswith(FOLDERS) and not code.co_name.startswith("<")


def counted_caller(frame: FrameType) -> CodeType | None:
    """The nearest function of this project up the stack."""
    above = frame.f_back
    while above is not None and not is_counted(above.f_code):
        above = above.f_back
    return above.f_code if above else None


def make_study(folder: Path) -> None:
    """T2 and FLAIR of one bright object in a head of noise."""
    for seed, sequence in enumerate(("t2", "flair")):
        array = np.zeros(SHAPE, np.float32)
        array[4:60, 4:60] = np.random.default_rng(seed).uniform(280, 320, (56, 56, SHAPE[2]))
        array[OBJECT] = 900
        path = folder / "alpha" / f"alpha_{sequence}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 3.0, 1.0])), path)


async def click_twice(studies: Path, state: Path, arm: Callable[[], None]) -> None:
    """Start the app, click once, call `arm`, and click again."""
    from monailabel.config import settings

    settings.MONAI_LABEL_APP_DIR = str(ROOT / "apps" / "zeus")
    settings.MONAI_LABEL_STUDIES = str(studies)
    settings.MONAI_LABEL_APP_CONF = {
        "target": "phantom", "profile": "reference-small", "encoder_runtime": "torch",
        "prepare": "false", "state": str(state),
    }  # fmt: skip
    from monailabel.app import app

    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zeus")
    async with app.router.lifespan_context(app), client:
        for voxel in (FIRST, SECOND):
            params = {"foreground": [voxel], "background": [], "label": "lesion"}
            answer = await client.post(
                "/infer/clicks",
                params={"image": "alpha", "output": "image"},
                data={"params": json.dumps(params)},
                timeout=None,
            )
            answer.raise_for_status()
            arm()


def main() -> None:
    """Click, and print the functions and the counts."""
    recorder = Recorder()
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    with tempfile.TemporaryDirectory(prefix="zeus-count-") as folder:
        studies = Path(folder) / "studies"
        make_study(studies)
        state = Path(folder) / "state"
        asyncio.run(click_twice(studies, state, lambda: setattr(recorder, "armed", True)))
    sys.setprofile(None)
    show("Functions that carry the prompt", recorder.carriers())
    show("Functions that only look at it", recorder.readers())


def show(title: str, functions: list[CodeType]) -> None:
    """Print functions with their places, and how many there are."""
    files = {code.co_filename for code in functions}
    print(f"{title}: {len(functions)}, in {len(files)} files")
    for code in functions:
        location = f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_firstlineno}"
        print(f"    {location:50} {code.co_qualname}")


if __name__ == "__main__":
    main()
