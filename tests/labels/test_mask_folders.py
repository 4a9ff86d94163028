"""The walk through all folders, in which masks may lie anywhere."""

from pathlib import Path

from zeus_app.labels.mask_folders import walk_folders


def walked(root: Path, *skip: Path) -> list[str]:
    """The files below the root, in the order of the walk."""
    return [
        path.relative_to(root).as_posix() for _, files in walk_folders(root, skip) for path in files
    ]


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_every_file_is_found_in_the_order_of_names(tmp_path: Path) -> None:
    make(tmp_path, "b/2", "b/1", "a/deep/er/3", "0")
    assert walked(tmp_path) == ["0", "a/deep/er/3", "b/1", "b/2"]


def test_hidden_system_and_skipped_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".git/x", "__MACOSX/x", "lost+found/x", "state/labels/x", "a/.x", "a/y")
    assert walked(tmp_path, tmp_path / "state", tmp_path / "no such folder") == ["a/y"]


def test_links_are_followed_and_a_circle_is_walked_once(tmp_path: Path) -> None:
    make(tmp_path, "studies/a/1", "elsewhere/2")
    (tmp_path / "studies" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "studies" / "a" / "again").symlink_to(tmp_path / "studies")
    (tmp_path / "studies" / "gone").symlink_to(tmp_path / "nowhere")
    assert walked(tmp_path / "studies") == ["gone", "a/1", "link/2"]
