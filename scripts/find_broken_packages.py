"""Print the installed packages whose files are not all there, one `name==version` a line.

An install that is killed can leave a package that pip takes for complete: its metadata is there,
files are missing or cut short. Each package's RECORD lists what it should consist of. Two packages
may claim the same path (monai and monailabel both ship `tests/`); either one's file is right then.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path


def find_broken(packages: Iterable[Distribution]) -> list[str]:
    """Return `name==version` of every package that lacks a file or has one of a wrong size."""
    packages = list(packages)
    sizes: dict[Path, set[int | None]] = defaultdict(set)
    for package in packages:
        for file in package.files or ():
            sizes[Path(str(file.locate()))].add(file.size)
    wrong = {path for path, allowed in sizes.items() if not _is_right(path, allowed)}
    return [
        f"{package.metadata['Name']}=={package.version}"
        for package in packages
        if not package.files
        or not any(file.name == "RECORD" for file in package.files)
        or any(Path(str(file.locate())) in wrong for file in package.files)
    ]


def _is_right(path: Path, allowed: set[int | None]) -> bool:
    if path.suffix == ".pyc":  # compiled again by whoever imports it
        return True
    try:
        return None in allowed or path.stat().st_size in allowed
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    print("\n".join(find_broken(distributions(path=sys.path))))
