"""Puts the fake model in the place of zeus_app.build, in the server and all it starts.

Python runs this at start-up when its folder is on PYTHONPATH; only tests put it there.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class _FakeBuild(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "zeus_app.build":
            return None
        found = PathFinder.find_spec("fake_build", [str(Path(__file__).parent)])
        assert found is not None
        assert isinstance(found.loader, Loader)
        found.loader.name = name  # type: ignore[attr-defined]
        found.name = name
        return found


sys.meta_path.insert(0, _FakeBuild())
