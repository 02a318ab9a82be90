"""When a photo was taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

_EXIF, _ORIGINAL = 0x8769, 0x9003
_FORM = "%Y:%m:%d %H:%M:%S"


def taken_at(photo: Path, mtime_ns: int) -> datetime:
    """EXIF's DateTimeOriginal, else the file's time of change on the clock of this machine.

    EXIF has no time zone: the hour is that of the camera. Never raises for what a photo may hold.
    """
    found = _original(photo)
    return found if found is not None else _on_the_clock(mtime_ns)


def _original(photo: Path) -> datetime | None:
    from PIL import Image

    from sortograph.errors import PhotoError
    from sortograph.images.decode import FORMATS, photo_errors

    try:
        with photo_errors(), Image.open(photo, formats=FORMATS) as image:
            text = image.getexif().get_ifd(_EXIF).get(_ORIGINAL)
            return datetime.strptime(str(text).strip("\0 ")[:19], _FORM)
    except PhotoError:  # photo_errors turns a date that is none into it, too
        return None


def _on_the_clock(mtime_ns: int) -> datetime:
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9)
    except (OverflowError, OSError, ValueError):  # a time beyond what the system's calendar has
        return datetime(1970, 1, 1)
