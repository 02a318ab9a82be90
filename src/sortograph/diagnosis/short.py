"""The diagnosis in a few lines, for the first screen of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sortograph.errors import command
from sortograph.records import Diagnosis

_MOST = 2


@dataclass(frozen=True, slots=True)
class Short:
    """lines: name and message of the gravest verdicts; command: what trains by the first remedy, or ""."""

    lines: tuple[tuple[str, str], ...]
    remedy: str = ""
    command: str = ""


def short(diagnosis: Diagnosis, photos: str | Path = "PHOTOS") -> Short:
    """The two gravest verdicts, and the most promising remedy that can be typed.

    photos: as they are to be typed in the command
    """
    gravest = diagnosis.verdicts[:_MOST]
    typed = [remedy for verdict in gravest for remedy in verdict.remedies if remedy.trains]
    first = typed[0] if typed else None
    words = () if first is None else first.words(diagnosis.run, photos)
    return Short(
        lines=tuple((verdict.name, verdict.message) for verdict in gravest),
        remedy="" if first is None else first.text,
        command=command(*words),
    )
