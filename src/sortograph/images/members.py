"""The members of an archive as a tree of folders, held in little memory.

1,000,000 photos with paths of 32 characters take about 180 MB (measured).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sortograph.errors import DataError
from sortograph.images.decode import MAX_BYTES, SUFFIXES
from sortograph.images.names import is_system

MOST_MEMBERS = 5_000_000
_LONGEST = 4096
_DEEPEST = 64
_TOLD = 10
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(slots=True)
class Folder:
    """What lies directly in one folder; `ignored` counts what is no photo, hidden folders as one."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    ignored: int = 0


@dataclass(slots=True)
class Members:
    """All members of an archive, filled one after the other. Paths are posix, without "." and "//".

    folders   path → folder; None for hidden folders and those inside them
    places    path → where its bytes are found, for members that can be read; what the number means is known
              to the reader of the format
    problems  path → why a member is not read
    unsafe    number of members with a name that is not followed, which are in no folder; `examples` has the
              first of them, with the reason
    replaced  number of members that a later one of the same name replaces, as it would when unpacked
    shift     number of bytes before the archive itself, such as the program of one that unpacks itself
    """

    folders: dict[str, Folder | None] = field(default_factory=lambda: {"": Folder()})
    places: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unsafe: int = 0
    examples: list[str] = field(default_factory=list)
    replaced: int = 0
    shift: int = 0

    def add(self, name: str, place: int, problem: str = "") -> None:
        """A file by its name in the archive."""
        path = self.safe_path(name)
        parent, _, base = path.rpartition("/")
        folder = self._folder(parent) if path else None
        if folder is None:
            return
        if self.places.pop(path, None) is not None or self.problems.pop(path, None) is not None:
            self.replaced += 1
        elif has_photo_suffix(base) and not is_system(base):
            folder.files.append(path)
        else:
            folder.ignored += 1
        if problem:
            self.problems[path] = problem
        else:
            self.places[path] = place

    def add_folder(self, name: str) -> None:
        """A folder by its name in the archive: it may be empty."""
        self._folder(self.safe_path(name))

    def safe_path(self, name: str) -> str:
        """The path of a member below the root, or "" for the root itself and for unsafe names."""
        reason = unsafe(name)
        if not reason:
            return tidied(name)
        self.unsafe += 1
        if len(self.examples) < _TOLD:
            self.examples.append(f"{name[:_LONGEST]!r} ({reason})")
        return ""

    def _folder(self, path: str) -> Folder | None:
        """The folder at a path, made with those above it where it is new; None where it is hidden."""
        if path in self.folders:
            return self.folders[path]
        parent, _, name = path.rpartition("/")
        above = self._folder(parent)
        folder = None if above is None or is_system(name) else Folder()
        if above is not None and folder is not None:
            above.folders.append(path)
        elif above is not None:
            above.ignored += 1
        self.folders[path] = folder
        return folder


def has_photo_suffix(name: str) -> bool:
    """
    >>> has_photo_suffix("1.JPG"), has_photo_suffix("jpg")
    (True, False)
    """
    return name[name.rfind(".") :].lower() in SUFFIXES


def unsafe(name: str) -> str:
    """Why a name cannot be a path below a root, or "".

    >>> unsafe("cats/1.jpg"), unsafe("cats/../../1.jpg"), unsafe("C:/1.jpg")
    ('', 'leads upwards', 'names a drive')
    """
    if "\0" in name:
        return "has a NUL character"
    if name.startswith("/"):
        return "an absolute path"
    if _DRIVE.match(name):
        return "names a drive"
    if ".." in name and ".." in name.split("/"):
        return "leads upwards"
    if len(name) > _LONGEST:
        return f"longer than {_LONGEST} characters"
    return f"more than {_DEEPEST} folders deep" if name.count("/") > _DEEPEST else ""


def tidied(name: str) -> str:
    """
    >>> tidied("./cats//1.jpg"), tidied("cats/"), tidied("./")
    ('cats/1.jpg', 'cats', '')
    """
    if "//" not in name and not name.startswith("./") and "/." not in name and name[-1:] not in ("/", "."):
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def size_problem(size: int) -> str:
    """Why a member of so many bytes is not read, or ""."""
    return f"{size / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB" if size > MAX_BYTES else ""


def damaged(what: str, where: str, *, fix: str = "copy or download the archive again") -> DataError:
    """A refusal of a whole archive."""
    return DataError(what, where=where, expected="a whole and undamaged .zip or .tar archive", fix=fix)


def check_count(count: int, where: str) -> None:
    """Raises DataError for archives with more members than any collection of photos has."""
    if count > MOST_MEMBERS:
        raise damaged(f"more than {MOST_MEMBERS:,} members", where, fix="unpack it, and give the folder")
