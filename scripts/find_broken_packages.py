"""Print the installed packages with missing or incomplete files, one `name==version` per line.

After a killed installation, pip can take a package for complete whose files are missing or cut
short. The RECORD of each package lists its files and their sizes. Two packages may contain the same
path (monai and monailabel both ship `tests/`). The file of either package is right then.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path


def find_broken(packages: Iterable[Distribution]) -> list[str]:
    """Return `name==version` of every package with a missing file or a file of a wrong size."""
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
    if path.suffix == ".pyc":  # Python compiles it again at the next import
        return True
    try:
        return None in allowed or path.stat().st_size in allowed
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    print("\n".join(find_broken(distributions(path=sys.path))))
