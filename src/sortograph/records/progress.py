"""What rooms tell while they work. They emit these records; only the command line draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sortograph.records.run import EpochRow


@dataclass(frozen=True, slots=True)
class Said:
    """One line for a person. `warning` marks what they should not miss."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """`done` of `total` units of `task`; `seconds_left` where it can be told."""

    task: str
    done: int
    total: int
    unit: str = "photos"
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One epoch is over. `best` tells whether its weights are the best so far."""

    row: EpochRow
    epochs: int
    seconds_left: float
    best: bool


Event = Said | Step | EpochDone
Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """The callback that draws nothing."""
