"""What every mover needs around a move: errors in words, and a file's time and permissions put back."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sortograph.errors import PhotoError
from sortograph.files import storage_errors


def as_it_was(photo: Path, mtime_ns: int, mode: int) -> None:
    """Time of change and permissions, which file systems on the way may not have kept."""
    facts = photo.stat()
    if facts.st_mtime_ns != mtime_ns:
        os.utime(photo, ns=(facts.st_atime_ns, mtime_ns))
    if stat.S_IMODE(facts.st_mode) != mode:
        photo.chmod(mode)


@contextlib.contextmanager
def storage_of(place: Path) -> Iterator[None]:
    """OSError → StorageError that names the file of the error, or PhotoError where one name is too long."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise PhotoError("its name is too long for the file system that it would go to") from None
        named = error.filename2 or error.filename or place
        with storage_errors(Path(os.fsdecode(named))):
            raise
