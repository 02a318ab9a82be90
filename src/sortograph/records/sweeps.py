"""Many runs that are compared: what is asked of them, what became of each, what they tell together."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sortograph.records.evaluation import Estimate
    from sortograph.records.run import RunRecord


@dataclass(frozen=True, slots=True)
class Configuration:
    """One point of a sweep, trained with every seed.

    variant   its name, "" where none is named
    recipe    a named recipe or a TOML file that it starts from
    settings  keys of the recipe → values that go over it
    told      those of the settings that set it apart from the others
    per_class training photos of each class; None for all
    """

    name: str
    variant: str
    recipe: str
    settings: Mapping[str, Any]
    told: Mapping[str, Any] = field(default_factory=dict)
    per_class: int | None = None


@dataclass(frozen=True, slots=True)
class RunTask:
    """One run: a configuration with a seed.

    recipe  the file that has it all but the seed; overrides  "key=value", which go over it
    threads of the processor; 0 for what the recipe says
    """

    configuration: str
    seed: int
    recipe: Path
    overrides: tuple[str, ...]
    photos: Path
    folder: Path
    threads: int = 0

    def title(self) -> str:
        return f"{self.configuration}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What became of a task.

    status  "finished"; "pruned": worse than others at the same epoch; "failed": it cannot be finished, as
            when its loss explodes; "killed" or "interrupted": it may be tried again
    record  of the run, where it finished
    reason  why it did not
    """

    task: RunTask
    status: str
    seconds: float
    record: RunRecord | None = None
    reason: str = ""


class Runner(Protocol):
    """Does runs, one after the other or several at once. Asks for the next task when it can start it."""

    def run(self, tasks: Iterable[RunTask]) -> Generator[RunOutcome, None, None]:
        """Outcomes as they come, in any order. Ends what is running when it is closed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A configuration over all its finished runs.

    score       mean over seeds of the metric that chooses; for a loss, lower is better. None without a run
    spread      standard deviation over seeds, n − 1; None with a single one
    train, validation, test  mean accuracy over seeds with Wilson's interval for as many photos
    gap         mean accuracy of train minus that of validation
    choosing    mean accuracy on the validation photos that alone choose; None where all of them do
    status      "finished", "pruned", "failed", or "open" while runs are left
    """

    configuration: Configuration
    status: str
    seeds: tuple[int, ...] = ()
    score: float | None = None
    spread: float | None = None
    train: Estimate | None = None
    validation: Estimate | None = None
    test: Estimate | None = None
    gap: float | None = None
    seconds: float = 0.0
    reason: str = ""
    choosing: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        inner = data.pop("configuration")
        named = {"name": inner["name"], "variant": inner["variant"], "settings": inner["settings"]}
        return {**named, **data, "seeds": list(self.seeds)}


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two sides on the same photos, photo by photo, seeds averaged.

    measure     "accuracy": difference = that of `better` − that of `worse`;
                "gap", train − held out: difference = that of `worse` − that of `better`
    difference  above 0 where `better` is better, with its bootstrap interval
    p, adjusted two-sided, before and after Holm's correction
    split       of the photos that are held out; how many they are says `difference`
    seeds       the smaller number of seeds of both sides
    """

    better: str
    worse: str
    measure: str
    difference: Estimate
    p: float
    adjusted: float
    split: str
    seeds: int

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "not shown": whether interval and corrected p-value leave out 0."""
        d = self.difference
        if self.seeds < 2 or self.adjusted > 1 - d.level or d.low <= 0 <= d.high:
            return "not shown"
        return "better" if d.low > 0 else "worse"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was argued, and what the runs say of it.

    argued    its own figures, in words
    verdict   "reproduced", "contradicted", "not shown", or "not tried" where runs for it are missing
    """

    text: str
    argued: str
    verdict: str
    compared: Contrast | None = None

    def to_json(self) -> dict[str, Any]:
        compared = None if self.compared is None else self.compared.to_json()
        return {"text": self.text, "argued": self.argued, "verdict": self.verdict, "compared": compared}


@dataclass(frozen=True, slots=True)
class Swept:
    """A sweep as far as it went.

    status       "finished", or "open" where runs are left
    metric       by which `chosen` was chosen, on validation photos alone: those that calibrate no run, where
                 standings have `choosing`, else all of them
    comparisons  of each configuration with `against`: the reference, or else the chosen one
    left         what is left to do, a run each
    conclusion   one paragraph
    """

    folder: Path
    name: str
    status: str
    metric: str
    standings: tuple[Standing, ...]
    chosen: str | None
    against: str | None
    comparisons: tuple[Contrast, ...]
    claims: tuple[Claimed, ...]
    left: tuple[str, ...]
    conclusion: str
    seconds: float

    @property
    def table(self) -> Path:
        return self.folder / "trials.csv"

    @property
    def report(self) -> Path:
        return self.folder / "conclusion.md"

    def to_json(self) -> dict[str, Any]:
        return {
            "sweep": self.folder.as_posix(),
            "name": self.name,
            "status": self.status,
            "metric": self.metric,
            "chosen": self.chosen,
            "against": self.against,
            "configurations": [standing.to_json() for standing in self.standings],
            "comparisons": [pair.to_json() for pair in self.comparisons],
            "claims": [claim.to_json() for claim in self.claims],
            "left": list(self.left),
            "conclusion": self.conclusion,
            "seconds": round(self.seconds, 3),
        }
