"""One sweep as it goes: which run comes next, what is done, when time is up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sortograph.records import RunRecord
from sortograph.records.sweeps import Configuration, RunOutcome, RunTask
from sortograph.sweeps.search import Search
from sortograph.sweeps.space import Space
from sortograph.sweeps.standings import score

Key = tuple[str, int]
MakeTask = Callable[[Configuration, int], RunTask]
Kept = Callable[[RunTask, Configuration], RunRecord | None]


@dataclass(frozen=True, slots=True)
class Means:
    """What a course needs from outside.

    task  (configuration, seed) → what to do; recipe and photos of it are written by then
    kept  (task, configuration) → the record of the run that has finished in its folder; None where there is
          none, or one of another recipe or of other photos
    clear removes what a run that was cut off has left in a folder
    deadline  a reading of time.monotonic, in seconds
    halved    whether runs are scored by the validation photos alone that calibrate none of them
    """

    task: MakeTask
    kept: Kept
    clear: Callable[[Path], None]
    deadline: float | None = None
    halved: bool = False


class Course:
    """Hands out runs and takes their outcomes. `outcomes` has all that were begun, also by earlier calls."""

    def __init__(self, space: Space, search: Search, means: Means) -> None:
        self.space, self.search, self._means = space, search, means
        self.outcomes: dict[Key, RunOutcome] = {}
        self._handed: set[Key] = set()
        self.is_late = False

    @property
    def halved(self) -> bool:
        """Whether half of the validation photos choose, and the other half calibrates; else all choose."""
        return self._means.halved

    def _score(self, record: RunRecord) -> float:
        return score(record, self.space.metric, halved=self.halved)

    def tasks(self) -> Iterator[RunTask]:
        """Runs that are left.

        A grid goes seed by seed, so that a budget leaves something to compare; a search takes a configuration
        at a time, since each is chosen by those before.
        """
        self._adopt_known()
        for one, seed in self._order():
            if self._is_done(one, seed):
                continue
            if self._would_be_late():
                self.is_late = True
                return
            task = self._means.task(one, seed)
            self._means.clear(task.folder)
            self._handed.add((one.name, seed))
            yield task

    def _order(self) -> Iterator[tuple[Configuration, int]]:
        seeds = self.space.seeds
        if self.space.method == "grid":
            every = list(self._every())
            yield from ((one, seed) for seed in seeds for one in every)
            return
        for one in list(self.search.known):
            yield from ((one, seed) for seed in seeds)
        for one in self._every():
            yield from ((one, seed) for seed in seeds)

    def _every(self) -> Iterator[Configuration]:
        is_search = self.space.method != "grid"
        while not (is_search and self.search.to_come and self._would_be_late()):
            one = self.search.next()
            if one is None:
                return
            yield one
        self.is_late = True

    def _adopt_known(self) -> None:
        for one in self.search.known:
            for seed in self.space.seeds:
                self._adopt(one, seed)

    def _adopt(self, one: Configuration, seed: int) -> None:
        """Takes over a run that an earlier call has finished."""
        task = self._means.task(one, seed)
        record = None if (one.name, seed) in self.outcomes else self._means.kept(task, one)
        if record is not None:
            self.outcomes[one.name, seed] = RunOutcome(task, "finished", record.seconds, record)

    def _is_done(self, one: Configuration, seed: int) -> bool:
        self._adopt(one, seed)
        settled = self.search.settled(one.name)
        ended = settled is not None and settled[0] in ("pruned", "failed")
        if not ended:
            self._settle(one.name)
        return ended or (one.name, seed) in self.outcomes or (one.name, seed) in self._handed

    def _would_be_late(self) -> bool:
        if self._means.deadline is None:
            return False
        spent = [one.seconds for one in self.outcomes.values() if one.status == "finished"]
        mean = statistics.fmean(spent) if spent else 0.0
        return time.monotonic() + mean > self._means.deadline

    def take(self, outcome: RunOutcome) -> None:
        """What became of a run. Raises RunError for a run that judged nothing."""
        name = outcome.task.configuration
        if outcome.record is not None:
            self._score(outcome.record)
        self.outcomes[name, outcome.task.seed] = outcome
        if outcome.status in ("pruned", "failed"):
            self.search.tell(name, outcome.status, reason=outcome.reason)
        else:
            self._settle(name)

    def _settle(self, name: str) -> None:
        """Tells the search once all seeds have finished."""
        runs = self.runs(name)
        if self.search.settled(name) is None and len(runs) == len(self.space.seeds):
            value = statistics.fmean(self._score(run) for run in runs.values())
            self.search.tell(name, "finished", value)

    def runs(self, name: str) -> Mapping[int, RunRecord]:
        """Seed → record of the finished runs of a configuration, in the order of the seeds."""
        found = {seed: self.outcomes.get((name, seed)) for seed in self.space.seeds}
        return {seed: one.record for seed, one in found.items() if one is not None and one.record is not None}

    def is_behind(self, task: RunTask, epoch: int, loss: float, accuracy: float) -> bool:
        """Whether the first seed of a configuration may stop here; those of a grid never do."""
        metric = self.space.metric
        searched = self.space.method != "grid" and task.seed == self.space.seeds[0]
        if not searched or metric not in ("validation_accuracy", "validation_log_loss"):
            return False
        return self.search.is_behind(task.configuration, epoch, loss if self.space.is_loss else accuracy)

    @property
    def total(self) -> int:
        """Runs of the whole sweep, as far as is known."""
        return (len(self.search.known) + self._to_come()) * len(self.space.seeds)

    @property
    def done(self) -> int:
        """Runs that need not be done any more."""
        return self.total - len(self.left())

    def left(self) -> list[str]:
        """A line for each run that is left."""
        ended = ("pruned", "failed")
        open_ = [
            one.name
            for one in self.search.known
            if (self.search.settled(one.name) or ("",))[0] not in ended  # a finished run may have gone
        ]
        named = [
            f"{name}, seed {seed}"
            for name in open_
            for seed in self.space.seeds
            if seed not in self.runs(name)
        ]
        to_come = self._to_come() * len(self.space.seeds)
        return named + [f"run {number} of configurations to come" for number in range(1, to_come + 1)]

    def _to_come(self) -> int:
        return 0 if self.space.method == "grid" else self.search.to_come

    def mean_seconds(self) -> float:
        spent = [one.seconds for one in self.outcomes.values() if one.status == "finished"]
        return statistics.fmean(spent) if spent else 0.0
