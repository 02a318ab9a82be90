"""What the journal of a plan tells: each photo's way, and the folders that were made for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortograph.errors import DataError
from sortograph.moving.journal import Journal, damaged, has_form, newer, read_journal
from sortograph.moving.plan import is_below

FORMAT_VERSION = 1
MOVING, MOVED, RETURNING, RESTORED = "moving", "moved", "returning", "restored"
FOLDER, REMOVED = "folder", "removed"
TOP = "."  # the quarantine folder itself

_KEYS: Mapping[str, Mapping[str, type]] = {
    "begin": {"format_version": int, "plan": str},
    MOVING: {"path": str, "target": str, "sha256": str, "mtime_ns": int, "mode": int},
    **{act: {"path": str} for act in (MOVED, RETURNING, RESTORED, FOLDER, REMOVED)},
}


@dataclass(frozen=True, slots=True)
class Passage:
    """A photo's way from `path` below the root to `target` below the quarantine folder, and what it was like.

    state  moving and returning: begun, and over unless it was interrupted; moved; restored
    """

    path: str
    target: str
    sha256: str
    mtime_ns: int
    mode: int
    state: str = MOVING

    def at(self, state: str) -> Passage:
        return Passage(self.path, self.target, self.sha256, self.mtime_ns, self.mode, state)


class Trail:
    """What was done so far, from the journal, which is only read until `open`.

    Raises DataError when the journal is damaged or belongs to another plan.
    """

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self._plan = path, plan
        self.passages: dict[str, Passage] = {}
        self.folders: dict[str, None] = {}  # in the order in which they were made
        self._journal: Journal | None = None
        self._begun = False
        with closing(read_journal(path)) as lines:
            for number, line in enumerate(lines, 1):
                if not _is_sound(line) or (line["act"] not in ("begin", MOVING) and not self._knows(line)):
                    raise damaged(path, number)
                self._take(line)

    def open(self) -> None:
        """From now on `record` may be called. Raises StorageError."""
        self._journal = Journal(self.path)
        if not self._begun:
            self.record("begin", format_version=FORMAT_VERSION, plan=self._plan)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def record(self, act: str, *, durable: bool = False, **facts: Any) -> None:
        """Write it down, then believe it. Raises StorageError."""
        assert self._journal is not None
        line = {"act": act, **facts}
        self._journal.write(line, durable=durable)
        self._take(line)

    def under_way(self) -> list[Passage]:
        """Photos that are not back, the last one first."""
        return [passage for passage in reversed(self.passages.values()) if passage.state != RESTORED]

    def _take(self, line: Mapping[str, Any]) -> None:
        facts = {key: value for key, value in line.items() if key != "act"}
        match line["act"]:
            case "begin":
                self._begin(facts)
            case "moving":
                self.passages.pop(facts["path"], None)  # so that it comes last
                self.passages[facts["path"]] = Passage(**facts)
            case "folder":
                self.folders.pop(facts["path"], None)
                self.folders[facts["path"]] = None
            case "removed":
                self.folders.pop(facts["path"], None)
            case state:
                self.passages[facts["path"]] = self.passages[facts["path"]].at(state)

    def _begin(self, facts: Mapping[str, Any]) -> None:
        if facts["format_version"] > FORMAT_VERSION:
            raise newer(self.path, facts["format_version"], FORMAT_VERSION)
        if facts["plan"] != self._plan:
            raise DataError(
                "the journal beside this plan belongs to another plan",
                where=str(self.path),
                expected=f"the journal of the plan {self._plan}",
                fix="give the plan another name, and try again",
            )
        self._begun = True

    def _knows(self, line: Mapping[str, Any]) -> bool:
        return line["act"] in (FOLDER, REMOVED) or line["path"] in self.passages


def _is_sound(line: Mapping[str, Any]) -> bool:
    """Whether it has the keys and types of its kind, and leads nowhere but below the two folders."""
    if not has_form(line, _KEYS):
        return False
    top = line["act"] in (FOLDER, REMOVED) and line["path"] == TOP
    return top or all(is_below(line[key]) for key in ("path", "target") if key in line)
