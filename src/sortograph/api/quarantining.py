"""quarantine: photos moved out of the way by a plan, and back."""

from __future__ import annotations

import os
from pathlib import Path

from sortograph import moving
from sortograph.api.writing import check_place
from sortograph.moving import Moved
from sortograph.records import Progress, silent


def quarantine(
    plan: str | os.PathLike[str], *, undo: bool = False, dry_run: bool = False, progress: Progress = silent
) -> Moved:
    """Move the photos of a plan, as `audit` writes it, to its quarantine folder; undo: back again.

    dry_run: change nothing; the result tells what would be moved and what would not

    A call that was stopped, at whatever moment, is gone on with by the next one, or undone. No photo is
    deleted or written over: photos that are gone, changed or links stay where they are and are told as
    skipped. Raises DataError when the plan, its journal or the folder cannot be used, or another process
    works on the plan; UsageError when the plan lies among the photos, where its journal would be written;
    StorageError when a place cannot be written: all is in one of both places then.
    """
    file = Path(plan)
    check_place(moving.read_plan(file).root, file, by="--fix")
    act = moving.undo if undo else moving.apply
    return act(file, dry_run=dry_run, progress=progress)
