"""What the journal of a sort tells: its plan, and how far each file is.

The journal has, line by line: `begin` with both folders; `file` for each file of the plan, numbered from 0;
`ready`, flushed to the disk, when the plan is whole (a sort that watches a folder adds further files and
another `ready`); then acts. `doing` and `undoing` are flushed before what they announce, for up to 64 files
at once; `done`, `undone` and `left` are not: whoever reads the journal after a stop looks at the files
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sortograph.errors import DataError
from sortograph.moving.journal import Journal, damaged, has_form, newer, read_journal
from sortograph.moving.plan import is_absolute, is_below
from sortograph.records.sorting import WAYS, SortFile, SortPlan

FORMAT_VERSION = 1
PLANNED, DOING, DONE, LEFT, UNDOING, UNDONE = "planned", "doing", "done", "left", "undoing", "undone"
FOLDER, REMOVED = "folder", "removed"
TOP = "."  # the destination itself

_FILE = {
    "path": str, "target": str, "sha256": str, "size": int, "mtime_ns": int, "mode": int, "changed_ns": int,
    "label": str, "photo": str,
}  # fmt: skip
_KEYS: Mapping[str, Mapping[str, type]] = {
    "begin": {
        "format_version": int, "sort": str, "source": str, "destination": str, "way": str, "template": str,
        "folders": dict,
    },
    "file": _FILE,
    "ready": {"files": int},
    DOING: {"file": int, "target": str},
    **{act: {"file": int} for act in (DONE, LEFT, UNDOING, UNDONE)},
    **{act: {"path": str} for act in (FOLDER, REMOVED)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """What holds for a whole journal.

    destination: where the journal lies now, so that a sorted folder may be carried elsewhere
    written: where it lay when it was written
    """

    sort: str
    source: Path
    destination: Path
    written: Path
    way: str
    template: str
    folders: Mapping[str, str]


class Trail:
    """What was planned and done so far, from a journal, which is only read until `open`.

    files    of the plan, as far as it is whole
    states   of each file
    targets  of each file, below the destination: where it really went

    Raises DataError when the journal is damaged, or there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: Head | None = None
        self.files: list[SortFile] = []
        self.states: list[str] = []
        self.targets: list[str] = []
        self.folders: dict[str, None] = {}  # in the order in which they were made
        self.whole = 0  # files whose plan is whole
        self._journal: Journal | None = None
        with closing(read_journal(path)) as lines:
            for number, line in enumerate(lines, 1):
                if not self._fits(line):
                    raise damaged(path, number)
                self._take(line)

    @property
    def plan(self) -> SortPlan:
        """The plan, of the files for which it is whole; without what it left where it was."""
        head = self.known
        return SortPlan(
            head.sort,
            head.source,
            head.destination,
            head.way,
            head.template,
            head.folders,
            tuple(self.files[: self.whole]),
        )

    @property
    def known(self) -> Head:
        """Raises DataError for a journal that was stopped before its first line was whole."""
        if self.head is None:
            raise DataError(
                "no journal of a sort, or one that was stopped before anything was done",
                where=str(self.path),
                expected="DEST/.sortograph/sort-….jsonl",
            )
        return self.head

    def open(self) -> None:
        """From now on `record` may be called. Raises StorageError."""
        self._journal = Journal(self.path)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def begin(self, plan: SortPlan) -> None:
        self.record(
            "begin",
            format_version=FORMAT_VERSION,
            sort=plan.id,
            source=plan.source.as_posix(),
            destination=plan.destination.as_posix(),
            way=plan.way,
            template=plan.template,
            folders=dict(plan.folders),
        )

    def add(self, files: Iterable[SortFile]) -> None:
        """Write files of a plan down, all of them or none. Raises StorageError."""
        for file in files:
            self.record("file", **asdict(file))
        self.record("ready", files=len(self.files))
        self.sync()

    def record(self, act: str, **facts: Any) -> None:
        """Write it down, then believe it. Raises StorageError."""
        assert self._journal is not None
        line = {"act": act, **facts}
        self._journal.write(line)
        self._take(line)

    def sync(self) -> None:
        """Return when all that was recorded is on the disk. Raises StorageError."""
        assert self._journal is not None
        self._journal.sync()

    def under_way(self) -> list[int]:
        """Files that may be in the destination by this sort, the last one first."""
        return [n for n in reversed(range(self.whole)) if self.states[n] in (DOING, DONE, UNDOING)]

    def _take(self, line: Mapping[str, Any]) -> None:
        facts = {key: value for key, value in line.items() if key != "act"}
        match line["act"]:
            case "begin":
                self._begin(facts)
            case "file":
                self.files.append(SortFile(**facts))
                self.targets.append(facts["target"])
                self.states.append(PLANNED)
            case "ready":
                self.whole = facts["files"]
            case "folder":
                self.folders.pop(facts["path"], None)
                self.folders[facts["path"]] = None
            case "removed":
                self.folders.pop(facts["path"], None)
            case state:
                self.states[facts["file"]] = state
                self.targets[facts["file"]] = facts.get("target", self.targets[facts["file"]])

    def _begin(self, facts: Mapping[str, Any]) -> None:
        self.head = Head(
            facts["sort"],
            Path(facts["source"]),
            self.path.resolve().parent.parent,
            Path(facts["destination"]),
            facts["way"],
            facts["template"],
            facts["folders"],
        )

    def _fits(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is sound, and right after those before it. Raises DataError for a newer format."""
        if line.get("act") == "begin":
            self._check_version(line.get("format_version"))
        if not _is_sound(line) or (line["act"] == "begin") != (self.head is None):
            return False
        if line["act"] == "ready":
            return self.whole <= int(line["files"]) == len(self.files)
        return "file" not in line or 0 <= line["file"] < self.whole

    def _check_version(self, version: object) -> None:
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise newer(self.path, version, FORMAT_VERSION)


def _is_sound(line: Mapping[str, Any]) -> bool:
    """Whether it has the keys and types of its kind, and leads nowhere but below the two folders."""
    if not has_form(line, _KEYS):
        return False
    if line["act"] == "begin":
        return _is_head(line)
    top = line["act"] in (FOLDER, REMOVED) and line["path"] == TOP
    return top or all(is_below(line[key]) for key in ("path", "target", "photo") if key in line)


def _is_head(line: Mapping[str, Any]) -> bool:
    folders = line["folders"]
    named = all(isinstance(name, str) for name in folders.values())
    return named and line["way"] in WAYS and all(is_absolute(line[key]) for key in ("source", "destination"))
