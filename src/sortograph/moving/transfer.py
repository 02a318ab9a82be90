"""One file from one place to another: never over a file that is there, never losing its content.

On one disk a second name is linked and then the first one removed: unlike `rename`, which on POSIX replaces
a file that is there without a word, linking refuses to, in one step that nobody comes between. Killed in
between, the file has both names, and `settle` finishes it. Where a file system has no hard links (FAT, exFAT)
the place is looked at right before the rename: a file that another program makes in those microseconds would
be lost. Windows renames in one step and refuses to replace.

To another disk the content is copied under a name of our own, flushed, read again and compared, and renamed
in the same way; only then the source goes. Time of change and permissions go with it; tags of macOS, extended
attributes and access lists do not.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from sortograph.errors import PhotoError, StorageError
from sortograph.files import sync_folder

# What systems answer where hard links are not possible, or no more of them.
_NO_LINKS = frozenset((errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK))
_LINKS = frozenset((0xA000000C, 0xA0000003))  # reparse tags of Windows: symbolic link, junction
_LONGEST = 255  # bytes or characters of a name, on all common file systems
_LONGEST_SUFFIX = 20
_CHUNK = 1 << 20
_MARK, _SHARE = "\\\\?\\", "\\\\?\\UNC\\"


def fingerprint(path: Path) -> tuple[str, int]:
    """sha256 and size of a file. Raises PhotoError when it cannot be read."""
    hashed, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                hashed.update(block)
                size += len(block)
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror or error})") from None
    return hashed.hexdigest(), size


def check_photo(root: Path, path: str) -> None:
    """Raises PhotoError unless `path` below `root` is a file that is there itself, through no link."""
    where = root
    for part in path.split("/"):
        where = where / part
        try:
            facts = where.lstat()
        except (OSError, ValueError):
            raise PhotoError("it is gone") from None
        if is_link(facts):
            raise PhotoError("a link" if where == root / path else "it lies behind a link")
    if not stat.S_ISREG(facts.st_mode):
        raise PhotoError("not a file")


def is_blocked(root: Path, path: str) -> bool:
    """Whether one of the folders that a file at `path` would lie in is a link, or no folder."""
    for folder in list((root / path).parents)[: path.count("/")]:
        with contextlib.suppress(OSError):
            facts = folder.lstat()
            if is_link(facts) or not stat.S_ISDIR(facts.st_mode):
                return True
    return False


def holds(path: Path, sha256: str) -> bool:
    """Whether a file, which is no link, has this content."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and fingerprint(path)[0] == sha256
    except (OSError, PhotoError):
        return False


def is_one(one: Path, other: Path) -> bool:
    """Whether both are there, as two names of one file."""
    return _names(one, other) == 2


def is_alias(one: Path, other: Path) -> bool:
    """Whether both are one and the same name, reached by two ways: to remove it would remove the file."""
    return _names(one, other) == 1


def is_twice(one: Path, other: Path, sha256: str) -> bool:
    """Whether both are there and the same: one file with two names, or two with this content."""
    return is_one(one, other) or (not is_alias(one, other) and holds(one, sha256) and holds(other, sha256))


def move_new(source: Path, target: Path, sha256: str) -> None:
    """Move a file with this content to a name that is not taken; the folder of `target` exists.

    Raises FileExistsError when it is taken, OSError when it cannot be done, PhotoError when the content has
    changed meanwhile. Then the source is as it was, and the target not there.
    """
    facts = put_new(source, target, sha256)
    sync_folder(target.parent)
    take_away(source, target, facts)
    sync_folder(source.parent)


def put_new(source: Path, target: Path, sha256: str) -> os.stat_result | None:
    """The first half of a move: the file is at `target`, too. `take_away` is the second one; between them the
    folder of `target` is to be flushed, once for as many files as there are.

    Returns what the source is like now, None where it is gone already. Raises as `move_new` does.
    """
    try:
        return _second_name(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return copy_new(source, target, sha256)


def take_away(source: Path, target: Path, facts: os.stat_result | None) -> None:
    """The second half: both have the content, and now only the target.

    facts: what `put_new` returned. Raises OSError where the source cannot be removed, and PhotoError where it
    has been changed or replaced since: the source is alone then.
    """
    try:
        if facts is not None and not is_same_state(source.lstat(), facts):
            target.unlink()
            raise PhotoError("it has changed while it was moved")
        if facts is not None:
            remove(source)
    except FileNotFoundError:  # another program was faster
        return
    except OSError:  # a read-only folder
        target.unlink()
        raise


def copy_new(source: Path, target: Path, sha256: str) -> os.stat_result:
    """Copy a file with this content to a name that is not taken: flushed to the disk, read again, compared.

    Returns what the source is like. Raises as `move_new` does.
    """
    half = half_of(target)
    drop_half(target)
    try:
        _copy(source, half)
        facts = source.lstat()
        if fingerprint(half)[0] != sha256 or fingerprint(source)[0] != sha256:
            raise PhotoError("it has changed while it was copied")
        _rename_new(half, target)
    except (OSError, PhotoError):
        with contextlib.suppress(OSError):
            half.unlink()
        raise
    return facts


def is_same_state(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both are one file that was not written to in between; a name that came or went changes
    nothing."""
    return os.path.samestat(one, other) and (one.st_size, one.st_mtime_ns) == (
        other.st_size,
        other.st_mtime_ns,
    )


def settle(source: Path, target: Path, sha256: str) -> bool:
    """Finish a move, in either direction, that was begun and perhaps interrupted. Raises OSError.

    True when `target` alone has the file now; else both places are as they were.
    """
    for place in (source, target):
        drop_half(place)
    if os.path.lexists(source):
        twice = is_twice(source, target, sha256)
        if twice:
            sync_folder(target.parent)
            take_away(source, target, source.lstat())
        return twice
    return holds(target, sha256)


def numbered(path: str) -> Iterator[str]:
    """The path itself, and then others of its folder to use where it is taken; all fit a file system.

    >>> names = numbered("cat/1.png")
    >>> [next(names) for _ in range(3)]
    ['cat/1.png', 'cat/1-2.png', 'cat/1-3.png']
    """
    yield path
    folder, slash, name = path.rpartition("/")
    stem, suffix = os.path.splitext(name)  # noqa: PTH122, Path.suffix has other rules for dots
    if len(suffix) > _LONGEST_SUFFIX:
        stem, suffix = name, ""
    for number in count(2):
        yield f"{folder}{slash}{_fitted(stem, f'-{number}{suffix}')}"


def _names(one: Path, other: Path) -> int:
    """How many names of one file two paths are; 0 for two files, or where one is not there."""
    try:
        facts = one.lstat()
        if not os.path.samestat(facts, other.lstat()):
            return 0
    except OSError:
        return 0
    return 1 if facts.st_nlink == 1 or _entry(one) == _entry(other) else 2


def _entry(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _fitted(stem: str, tail: str) -> str:
    while stem and len(os.fsencode(stem + tail)) > _LONGEST:
        stem = stem[:-1]
    return stem + tail


def _second_name(source: Path, target: Path) -> os.stat_result | None:
    """Both names for one file, or, where there are no such links, the new name alone."""
    if os.name == "nt":
        source.rename(target)
        return None
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _refuse_taken(target)
        source.rename(target)
        return None
    return target.lstat()


def _rename_new(half: Path, target: Path) -> None:
    """A file of our own to a name that is not taken."""
    if _second_name(half, target) is not None:
        half.unlink()


def _refuse_taken(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _copy(source: Path, half: Path) -> None:
    with source.open("rb") as old, half.open("xb") as new:
        shutil.copyfileobj(old, new, _CHUNK)
        new.flush()
        os.fsync(new.fileno())
    facts = source.stat()  # no more than these: flags and labels of the system may forbid to rename it
    os.utime(half, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    half.chmod(stat.S_IMODE(facts.st_mode))


def remove(path: Path) -> None:
    """Raises OSError."""
    try:
        path.unlink()
    except PermissionError:
        if os.name != "nt":
            raise
        path.chmod(stat.S_IWRITE)  # Windows removes no file that is marked read-only
        path.unlink()


def half_of(target: Path) -> Path:
    """The name of a copy that is under way: always the same, so that it is found again."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()
    return target.with_name(f".moving-{name[:24]}")


def drop_half(target: Path) -> None:
    """Remove a copy that was under way, if there is one. Raises StorageError where that is forbidden."""
    half = half_of(target)
    if not os.path.lexists(half):
        return
    try:
        remove(half)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError as error:
        raise StorageError(
            "half a copy, of an earlier work that was stopped, cannot be removed",
            where=str(half),
            expected="nothing there, or what may be removed",
            fix="remove it by hand",
        ) from error


def leads_to(link: Path, place: Path) -> bool:
    """Whether a path is a link to just this absolute path. Raises OSError."""
    return link.is_symlink() and Path(plain(os.fspath(link.readlink()))) == place


def plain(path: str) -> str:
    r"""A path without the mark that Windows puts before it when it reads a link.

    >>> plain(r"\\?\C:\photos"), plain(r"\\?\UNC\server\photos"), plain("/photos")
    ('C:\\photos', '\\\\server\\photos', '/photos')
    """
    if path.startswith(_SHARE):
        return "\\\\" + path.removeprefix(_SHARE)
    return path.removeprefix(_MARK)


def is_link(facts: os.stat_result) -> bool:
    return stat.S_ISLNK(facts.st_mode) or getattr(facts, "st_reparse_tag", 0) in _LINKS
