"""What held-out photos say about how far answers may be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.records.evaluation import Estimate


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Photos whose answer has a probability within low–high: its mean, and the share that is right."""

    low: float
    high: float
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class AbstainRow:
    """What is promised where answers up to `threshold` are withheld.

    error      the wanted share of wrong answers among those given, 0–1
    threshold  only more confident answers are given; 0 gives all; None where nothing can be promised
    coverage   share of the n photos that was answered; wrong  how many of those answers were wrong
    reason     why nothing can be promised, or ""
    """

    error: float
    threshold: float | None
    coverage: float
    n: int
    wrong: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConformalRow:
    """Classes at or above `threshold` make a set that holds the true one with probability `level`."""

    level: float
    threshold: float
    n: int


@dataclass(frozen=True, slots=True)
class LikenessRow:
    """Below `threshold` lies a `share` of photos like the n held-out ones."""

    threshold: float
    share: float
    n: int


@dataclass(frozen=True, slots=True)
class Trust:
    """Measured on photos that neither taught nor chose.

    split, n     where they are from, and how many they are
    groups       how many independent ones among them, where photos come in groups; n otherwise
    temperature  what logits are divided by
    lacking      classes of which there was no photo: nothing is promised of photos that belong to them
    """

    split: str
    n: int
    groups: int
    temperature: float
    abstain: tuple[AbstainRow, ...]
    conformal: tuple[ConformalRow, ...]
    likeness: LikenessRow | None = None
    lacking: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trust:
        """The inverse of `to_json`. Raises KeyError or TypeError on other data."""
        likeness = data["likeness"]
        rows = {
            "abstain": tuple(AbstainRow(**row) for row in data["abstain"]),
            "conformal": tuple(ConformalRow(**row) for row in data["conformal"]),
            "likeness": None if likeness is None else LikenessRow(**likeness),
            "lacking": tuple(data.get("lacking", ())),
        }
        return cls(**{**data, **rows})
