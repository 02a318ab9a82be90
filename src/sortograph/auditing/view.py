"""What the checks are handed, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sortograph.records import DatasetIndex, FeatureTable, Finding

if TYPE_CHECKING:
    from sortograph.auditing.likely import Likely


class LookAlikes(Protocol):
    """Photos of one class that look alike, too many of them to be copies; `share` of that class, 0–1."""

    @property
    def paths(self) -> tuple[str, ...]: ...
    @property
    def class_name(self) -> str: ...
    @property
    def share(self) -> float: ...


@dataclass(frozen=True, slots=True)
class AuditView:
    """An index with its splits, and what has been found out about its photos.

    large            groups of look-alikes that were too large to be taken for twins
    given            whether the splits are the user's own
    likely           what probably shows the same, beyond twins; None where nobody looked
    features         embeddings of labelled rows, any number of them; None where no backbone was at hand
    why_no_features  then the reason, with the command that would change it
    """

    index: DatasetIndex
    large: tuple[LookAlikes, ...] = ()
    given: bool = False
    likely: Likely | None = None
    features: FeatureTable | None = None
    why_no_features: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, what finds, and what it needs of the view: "", "looks", "twins", "likely" or
    "features".

    `find` raises MissingExtra where an optional package is not installed.
    """

    name: str
    find: Callable[[AuditView], Iterator[Finding]]
    needs: str = ""
