"""Which photos are to be moved out of a folder, and where to: a JSON file that a person may edit."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortograph.errors import DataError, PhotoError, StorageError, UsageError, counted, nearest
from sortograph.files import is_in, write_atomic
from sortograph.moving.transfer import check_photo, fingerprint
from sortograph.records import Rejected

FORMAT_VERSION = 1

_PLAN = {
    "format_version": int, "plan": str, "folder": str, "root": str, "quarantine": str, "photos": list,
}  # fmt: skip
_PHOTO = {"path": str, "sha256": str, "size": int, "check": str, "reason": str}
_KINDS = {int: "a whole number", str: "text", list: "a list"}
_SHA256 = re.compile("[0-9a-f]{64}")
# The comma that is left when a person deletes the last line of a list. No string of JSON has a line end.
_LEFT_COMMA = re.compile(r",(?=\s*\n\s*\])")


@dataclass(frozen=True, slots=True)
class Aside:
    """A photo that is wanted out of the way: its path below the root, which check asks for it, and why."""

    path: str
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A photo of a plan. `sha256` and `size` are those of the file when the plan was made."""

    path: str
    sha256: str
    size: int
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Photos to move from below `root` to the same relative path below `to`.

    id        says that a journal belongs to this plan, however it was edited
    folder    the root as it was given, for people
    root, to  absolute. Other files of ours hold relative paths only; this one stays on the machine where its
              photos are and must find them from whatever folder it is used in
    left_out  what was wanted but cannot be moved, and why; only of a plan that was just made
    """

    id: str
    folder: str
    root: Path
    to: Path
    photos: tuple[Planned, ...]
    left_out: tuple[Rejected, ...] = ()


def make_plan(root: Path, wanted: Sequence[Aside], to: Path | None = None) -> Plan:
    """Plan to move photos from a folder to quarantine; each is read once, for its hash.

    wanted: of two that ask for one photo the first counts
    to: the quarantine folder; None for <name of root>-quarantine beside it

    Raises DataError when `root` is no folder, UsageError when one of both folders lies in the other.
    """
    check_root(root)
    home = root.resolve()
    place = home.with_name(f"{home.name}-quarantine") if to is None else to.resolve()
    if not _apart(home, place):
        raise UsageError(
            "the quarantine folder and the photos lie in each other",
            where=str(place),
            expected="a folder outside of the photos' folder",
        )
    first = {aside.path: aside for aside in reversed(wanted)}
    planned: list[Planned] = []
    left_out: list[Rejected] = []
    for aside in (first[path] for path in dict.fromkeys(aside.path for aside in wanted)):
        try:
            planned.append(_planned(home, aside))
        except PhotoError as error:
            left_out.append(Rejected(aside.path, error.what))
    return Plan(secrets.token_hex(8), os.fspath(root), home, place, tuple(planned), tuple(left_out))


def check_root(root: Path) -> None:
    """Raises DataError unless photos can be moved out of `root`."""
    if os.path.isdir(root):  # noqa: PTH112, Path.is_dir raises for names that are too long
        return
    if os.path.lexists(root):
        raise DataError(
            "photos in an archive are read in place and never changed",
            where=str(root),
            expected="a folder of photos",
            fix="unpack it, and audit the folder",
        )
    raise DataError("no such folder", where=str(root), expected="the folder of photos that the plan is for")


def check_unused(path: Path) -> None:
    """Raises StorageError when a plan cannot become `path`: the file, or a journal of that name, exists."""
    for file in (path, journal_of(path)):
        if os.path.lexists(file):
            raise StorageError(
                "there is such a file already", where=str(file), fix="choose another name for the plan"
            )


def journal_of(path: Path) -> Path:
    """Where the journal of a plan lies: beside it, under whatever name the plan is reached."""
    home = path.resolve()
    return home.with_name(f"{home.name}.journal.jsonl")


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan as JSON with one line a photo. Raises StorageError, also when the file exists."""
    check_unused(path)
    head = {
        "format_version": FORMAT_VERSION,
        "plan": plan.id,
        "folder": plan.folder,
        "root": plan.root.as_posix(),
        "quarantine": plan.to.as_posix(),
    }
    photos = ({key: getattr(photo, key) for key in _PHOTO} for photo in plan.photos)
    lines = [*(f"{_json(key)}: {_json(value)}," for key, value in head.items()), '"photos": [']
    text = "\n ".join(["{", *lines, ",\n  ".join(map(_json, photos)), "]"]) + "\n}\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))  # as files.write_json has it


def read_plan(path: Path) -> Plan:
    """A plan from its file, edited or not. Raises DataError with every mistake."""
    data = _parsed(path)
    mistakes = [*_misshapen(data, _PLAN, "the plan"), *_wrong_places(data), *_wrong_photos(data)]
    if mistakes:
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise DataError(
            f"{counted(len(mistakes), 'mistake')} in the plan {path}:{lines}",
            fix="correct the plan, or make a new one: sortograph audit PHOTOS --fix FILE.json",
        )
    photos = tuple(Planned(**entry) for entry in data["photos"])
    return Plan(data["plan"], data["folder"], Path(data["root"]), Path(data["quarantine"]), photos)


def is_below(path: str, *, windows: bool = os.name == "nt") -> bool:
    """Whether a relative posix path leads nowhere but below its root, and has one spelling.

    >>> [is_below(path) for path in ("cat/1.png", "../1.png", "/1.png", "cat//1.png")]
    [True, False, False, False]
    >>> is_below("C:/1.png", windows=True), is_below("C:/1.png", windows=False)  # elsewhere it is a folder
    (False, True)
    """
    try:
        os.fsencode(path)
    except UnicodeError:  # surrogates that stand for no byte
        return False
    odd = "\\:" if windows else ""
    parts = path.split("/")
    return not ("\0" in path or {"", ".", ".."} & set(parts) or any(sign in path for sign in odd))


def _planned(root: Path, aside: Aside) -> Planned:
    if not is_below(aside.path):
        raise PhotoError("its path cannot be written into a plan")
    check_photo(root, aside.path)
    sha256, size = fingerprint(root / aside.path)
    return Planned(aside.path, sha256, size, aside.check, aside.reason)


def _apart(root: Path, place: Path) -> bool:
    """Whether neither lies in the other; however they are spelled, or linked."""
    return not (is_in(place, root) or is_in(root, place))


def _parsed(path: Path) -> Any:
    """The JSON of the file. Raises DataError when there is none, or of a newer format."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors put a mark before it
        data = json.loads(_LEFT_COMMA.sub("", text))
    except OSError as error:
        raise _no_plan(path, f"cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise _no_plan(path, f"no plan ({str(error).splitlines()[0][:120]})") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is int and version > FORMAT_VERSION:
        raise DataError(
            f"made by a newer sortograph (format {version}, this one reads up to {FORMAT_VERSION})",
            where=str(path),
            fix="pip install -U sortograph",
        )
    return data


def _no_plan(path: Path, what: str) -> DataError:
    return DataError(
        what,
        where=str(path),
        expected="a plan in JSON",
        fix="make one: sortograph audit PHOTOS --fix FILE.json",
    )


def _misshapen(data: Any, kinds: Mapping[str, type], name: str) -> list[str]:
    """What is wrong with the keys of an object and with the types of their values."""
    if not isinstance(data, dict):
        return [f"{name} is no JSON object"]
    unknown = [f"{name} has an unknown key {key!r}{nearest(key, kinds)}" for key in data if key not in kinds]
    missing = [f"{name} lacks {key!r}" for key in kinds if key not in data]
    wrong = [
        f"{key!r} of {name} is not {_KINDS[kind]}"
        for key, kind in kinds.items()
        if key in data and type(data[key]) is not kind
    ]
    return unknown + missing + wrong


def _wrong_places(data: Any) -> list[str]:
    if _misshapen(data, _PLAN, ""):
        return []
    places = {key: data[key] for key in ("root", "quarantine")}
    wrong = [f"{key!r} is not an absolute path" for key, place in places.items() if not is_absolute(place)]
    if not wrong and not _apart(Path(data["root"]), Path(data["quarantine"])):
        wrong = ["'root' and 'quarantine' lie in each other"]
    old = data["format_version"] < 1
    return [*wrong, *(["'format_version' is below 1"] if old else [])]


def is_absolute(place: str) -> bool:
    """Whether text names a place that this system could have, from its root."""
    try:
        os.fsencode(place)
    except UnicodeError:
        return False
    return "\0" not in place and Path(place).is_absolute()


def _wrong_photos(data: Any) -> list[str]:
    entries = data.get("photos") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        return []
    wrong = [mistake for n, entry in enumerate(entries, 1) for mistake in _wrong_photo(entry, f"photo {n}")]
    return [*wrong, *_twice(entry["path"] for entry in entries if _has_path(entry))]


def _wrong_photo(entry: Any, name: str) -> list[str]:
    wrong = _misshapen(entry, _PHOTO, name)
    if _has_path(entry) and not is_below(entry["path"]):
        wrong.append(f"'path' of {name} does not lead below the root: {entry['path'][:200]!r}")
    if not wrong and not _SHA256.fullmatch(entry["sha256"]):
        wrong.append(f"'sha256' of {name} is not 64 digits of 0-9 and a-f")
    if not wrong and entry["size"] < 0:
        wrong.append(f"'size' of {name} is below 0")
    return wrong


def _has_path(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("path"), str)


def _twice(paths: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for path in paths:
        counts[path] = counts.get(path, 0) + 1
    return [f"{path[:200]!r} is there {count} times" for path, count in counts.items() if count > 1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
