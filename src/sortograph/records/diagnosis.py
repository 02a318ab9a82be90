"""What a run suffers from, what helps against it, and what that did when it was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.records.evaluation import Estimate


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something to do about a verdict.

    text       what it is, in some words
    overrides  values of the recipe, "section.key=value"; () where nothing of the recipe changes
    recipe     the named recipe to train by; "" for that of the run
    gain       points of held-out accuracy that it may bring; None where nobody can tell
    guess      whether the gain follows a rule of thumb; False once it was measured
    why        one sentence
    """

    text: str
    why: str
    overrides: tuple[str, ...] = ()
    recipe: str = ""
    gain: float | None = None
    guess: bool = True

    @property
    def trains(self) -> bool:
        """Whether training again is the remedy."""
        return bool(self.overrides or self.recipe)

    def words(self, run: Path, photos: str | Path = "PHOTOS") -> tuple[str | Path, ...]:
        """The command that trains by it, not yet quoted for a shell; () where there is none.

        >>> Remedy("less", "why", ("train.epochs=5",)).words(Path("runs/a"))[-2:]
        ('--set', 'train.epochs=5')
        """
        if not self.trains:
            return ()
        recipe = self.recipe or run / "recipe.toml"
        sets = [word for change in self.overrides for word in ("--set", change)]
        return ("sortograph", "train", photos, "--recipe", recipe, *sets)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "overrides": list(self.overrides)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that can be said of a run.

    name      such as "overfitting"
    message   one sentence with the figures behind it, their counts and intervals
    figures   the same for programs
    severity  0–1: 1 makes the run or its figures worthless, 0.3 costs accuracy, 0 is "healthy"
    remedies  the most promising first
    """

    name: str
    message: str
    severity: float
    figures: Mapping[str, Any] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.severity <= 1:
            raise ValueError(f"severity is 0–1, not {self.severity}")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "message": self.message,
            "severity": self.severity,
            "figures": dict(self.figures),
            "remedies": [remedy.to_json() for remedy in self.remedies],
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """A remedy that was tried, beside a baseline of as many epochs on the same photos.

    accuracy    on the validation photos; None where it was not tried
    difference  accuracy minus that of the baseline, photo by photo
    gap         accuracy on train minus that on validation
    gap_change  that gap minus the baseline's
    helped      whether it is surely better, or closes the gap and is not shown to be worse
    verdict     the name of the verdict that it is meant for; "" for the baseline itself
    note        what is to be said about it, such as why it was not tried
    """

    remedy: Remedy
    verdict: str = ""
    epochs: int | None = None
    accuracy: Estimate | None = None
    difference: Estimate | None = None
    gap: Estimate | None = None
    gap_change: Estimate | None = None
    helped: bool = False
    seconds: float = 0.0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "remedy": self.remedy.to_json()}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A share of the training photos, and what heads that it taught reach on the validation photos.

    accuracy  mean over the seeds; its interval takes in the choice of photos on either side
    recalls   class → mean recall over the seeds, of classes that have validation photos
    """

    share: float
    photos: int
    seeds: int
    accuracy: Estimate
    recalls: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy by the number of training photos, and what twice as many would bring.

    source     what embedded the photos, and which head was taught
    stand_in   whether that is another network than the run's
    doubling   the accuracy that twice as many photos would add (error = a · photos ** −b, extrapolated)
    last_step  the accuracy that the last step of the curve has added, measured
    classes    class → recall that twice as many photos would add, the greatest first
    message    one sentence
    """

    source: str
    points: tuple[CurvePoint, ...]
    exponent: float
    doubling: Estimate
    last_step: Estimate
    classes: Mapping[str, Estimate]
    message: str
    stand_in: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All verdicts on a run, the gravest first.

    skipped  verdict, or "learning-curve" → why it could not be judged
    tried    the baseline first, then the remedies in the order in which they were tried
    offered  the recipe with what helped, as a file; None where nothing did
    """

    run: Path
    verdicts: tuple[Verdict, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    learning_curve: LearningCurve | None = None
    tried: tuple[Trial, ...] = ()
    offered: Path | None = None

    def of(self, name: str) -> Verdict | None:
        """The verdict of that name, or None."""
        return next((verdict for verdict in self.verdicts if verdict.name == name), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run.as_posix(),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "skipped": dict(self.skipped),
            "tried": [trial.to_json() for trial in self.tried],
            "learning_curve": None if self.learning_curve is None else self.learning_curve.to_json(),
            "offered": None if self.offered is None else self.offered.as_posix(),
        }
