"""What is known of a photo file: is it readable, what is its content, how large is the picture."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.errors import PhotoError
from sortograph.images.archive import is_archive, read_member
from sortograph.images.decode import MAX_BYTES
from sortograph.images.photo import Photo

if TYPE_CHECKING:
    from sortograph.records import PhotoFacts


def inspect(path: Path) -> PhotoFacts:
    """Read and decode one photo file.

    Width and height are those of the full picture after EXIF turning. Raises PhotoError with the reason
    when the file or the picture in it cannot be read.
    """
    return facts_of(read_bytes(path))


def facts_of(data: bytes, photo: Photo | None = None) -> PhotoFacts:
    """Facts of one photo from its bytes, with its look. Raises PhotoError.

    photo: of the same bytes, where its pixels are wanted, too
    """
    # Not for predictions, which read bytes alone.
    from sortograph.images.look import CANONICAL, look_of
    from sortograph.records import PhotoFacts

    # A full decode, because headers alone pass thousands of damaged files; but JPEGs are shrunk while they
    # are decoded, which reads every byte at a fraction of the cost.
    photo = photo or Photo(data)
    opened = photo.at(CANONICAL)
    return PhotoFacts(hash_of(data), *photo.size, look_of(opened, len(data)))


def hash_of(data: bytes) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def read_photo(root: Path, path: str) -> bytes:
    """All bytes of one photo of an index; `root` is a folder or an archive, `path` lies in it, posix.

    Raises PhotoError.
    """
    return read_member(root, path) if is_archive(root) else read_bytes(root / path)


def read_bytes(path: Path) -> bytes:
    """All bytes of a regular file, or of a link to one.

    Raises PhotoError for folders, pipes, sockets, devices, links to nothing, files above the size limit
    and files that the system refuses to open. Never blocks on a pipe.
    """
    try:
        _check_regular(path.stat())
        # The file may have become a pipe since: an open that cannot wait, and a second look.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:  # no file object: each call of the system gives the interpreter to other threads
            status = os.fstat(handle)
            _check_regular(status)
            return _read(handle, status.st_size)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise PhotoError("a link to nothing" if path.is_symlink() else "no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise PhotoError(f"cannot be opened ({reason})") from None


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError("a folder, not a photo")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("not a regular file (a pipe, socket or device)")
    _check_size(status.st_size)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise PhotoError(f"{size / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB")


def _read(handle: int, size: int) -> bytes:
    """All of a file of `size` bytes, or of another number where it changes meanwhile, up to the limit.

    As many bytes as are asked for are set aside in memory: the limit would be far too many.
    """
    parts = [os.read(handle, size + 1)]
    taken = len(parts[0])
    while parts[-1] and taken != size:
        _check_size(taken)
        parts.append(os.read(handle, min(taken + 1, MAX_BYTES + 1 - taken)))
        taken += len(parts[-1])
    return b"".join(parts)
