"""Where results may be written: never among the user's photos, never over a file that is not ours.

Light, since `predict` needs it too.
"""

from __future__ import annotations

import os
from pathlib import Path

from sortograph.errors import StorageError, UsageError
from sortograph.files import is_in, storage_errors

# Right after the header of a PNG, where `draw_sheet` has it written.
_OUR_PICTURE = b"tEXtSoftware\0sortograph"
_OUR_PAGE = b'<meta name="generator" content="sortograph'
_HEAD = 512


def check_place(photos: Path, place: Path, *, by: str = "--out") -> None:
    """Nothing is ever written among the user's photos: the next scan would take it for photos.

    by: how another place is chosen. Raises UsageError.
    """
    if lies_among(photos, place):
        raise UsageError(
            "what is written would lie among the photos",
            where=str(place),
            expected="a place outside of the folder of photos",
            fix=f"choose another place with {by}, or change to another folder",
        )


def lies_among(photos: Path, place: Path) -> bool:
    """Whether a place is the folder of photos or lies below it; however it is spelled, or linked."""
    if not os.path.isdir(photos):  # noqa: PTH112, Path.is_dir raises for names that are too long
        return False
    return is_in(place, photos)


def picture_file(path: Path) -> Path:
    """Refuses to write over anything but a sheet that we drew. Raises UsageError, StorageError."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"a grid named {path.name!r}", expected="a file name that ends in .png")
    return _free(path, _OUR_PICTURE, "a grid")


def page_file(path: Path) -> Path:
    """Refuses to write over anything but a page of ours. Raises UsageError, StorageError."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"a page named {path.name!r}", expected="a file name that ends in .html")
    return _free(path, _OUR_PAGE, "a page")


def _free(path: Path, mark: bytes, what: str) -> Path:
    with storage_errors(path):
        in_the_way = path.exists() and not (path.is_file() and _holds(path, mark))
    if in_the_way:
        raise StorageError(
            f"would write over something that is not {what} of ours",
            where=str(path),
            fix="choose another name",
        )
    return path


def _holds(file: Path, mark: bytes) -> bool:
    with file.open("rb") as opened:
        return mark in opened.read(_HEAD)
