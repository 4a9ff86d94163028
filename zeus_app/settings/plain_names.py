"""Plain names: names of targets and sequences become names of folders and parts of ids."""

MAX_LENGTH = 64


def is_one_component(name: str) -> bool:
    """Whether a name is that of one file or folder: it leads nowhere else."""
    return name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)


def check_plain(name: str) -> str:
    """Return the name if it is plain.

    Raises:
        ValueError: it has a path separator, a control character or a leading dot, or is too long.
    """
    is_trimmed = name == name.strip() and not name.startswith(".")
    if not (is_one_component(name) and is_trimmed and name.isprintable()):
        problem = f"the name {name[:MAX_LENGTH]!r} is not plain"
    elif len(name) > MAX_LENGTH:
        problem = f"the name {name[:MAX_LENGTH]!r}... has {len(name)} characters"
    else:
        return name
    raise ValueError(
        f"{problem}; expected at most {MAX_LENGTH} printable characters without slashes and without"
        " a leading dot, for example knee_2"
    )
