"""An act that was begun, and perhaps stopped in the middle."""

from __future__ import annotations

import os
from pathlib import Path

from sortograph.errors import PhotoError
from sortograph.moving.transfer import drop_half, holds, is_one, leads_to, settle


def is_finished(way: str, source: Path, target: Path, sha256: str) -> bool:
    """Whether an act that was begun has come to its end; a move is brought to it.

    False when it is to be done again. Raises PhotoError where neither can be said, OSError.
    """
    if way == "symlink":
        return leads_to(target, source)
    if way != "move":
        drop_half(target)
        return holds(target, sha256)
    if os.path.lexists(source) and not holds(source, sha256):
        if is_one(source, target):  # written to between its two names
            settle(target, source, sha256)
        elif holds(target, sha256):
            raise PhotoError("something else is at its old place by now, and it is in the destination")
        return False
    if settle(source, target, sha256):
        return True
    if not os.path.lexists(source):
        raise PhotoError("it is gone from both folders, or was changed")
    return False
