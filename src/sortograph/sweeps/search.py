"""Which configuration comes next: Optuna (Akiba et al. 2019, arXiv:1907.10902), kept in SQLite."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sortograph.errors import MissingExtra, RunError
from sortograph.records.sweeps import Configuration
from sortograph.sweeps.axes import Axis
from sortograph.sweeps.plan import configuration, grid, grid_size
from sortograph.sweeps.space import Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

FILE = "study.db"
_VARIANT, _NUMBER, _NAME, _REASON = "variant", "number", "name", "reason"
_STARTUP = 5  # trials that are never cut short: a median of fewer says little


class Search:
    """The trials of one sweep, a configuration each. Open one with `opened`.

    A grid is known from the start; Optuna keeps its results only, so that its own tools can read them.
    Trials that a kill has left open are asked for again under their old names.
    """

    def __init__(self, space: Space, study: Study) -> None:
        self._space, self._study = space, study
        self._open: dict[str, Trial] = {}
        self._known: dict[str, Configuration] = {}
        self._settled: dict[str, tuple[str, str]] = {}
        self._values: dict[str, float] = {}
        self._names: set[str] = set()
        self._repeats = 0
        self._grid = grid(space) if space.method == "grid" else []
        self._left = iter(self._grid)
        self._recall()

    @property
    def known(self) -> list[Configuration]:
        """Configurations so far, in their order; all of them for a grid."""
        return self._grid or list(self._known.values())

    def settled(self, name: str) -> tuple[str, str] | None:
        """ "finished", "pruned" or "failed", and why; None for one that is open."""
        return self._settled.get(name)

    @property
    def to_come(self) -> int:
        """How many configurations have not been asked for."""
        total = len(self._grid) or self._space.trials or 0
        return max(0, total - len(self._known) - self._repeats)

    def next(self) -> Configuration | None:
        """The next configuration to train; None when the space, or the number of trials, is used up."""
        if self._grid:
            one = next(self._left, None)
            if one is not None:
                self._known[one.name] = one
            return one
        while self.to_come:
            trial = self._study.ask(_distributions(self._space))
            name = str(trial.user_attrs.get(_NAME) or self._name(trial))
            trial.set_user_attr(_NAME, name)
            if name in self._known:
                self._repeat(trial, name)
                continue
            self._open[name], self._known[name] = trial, self._configuration(name, trial.params)
            return self._known[name]
        return None

    def _repeat(self, trial: Trial, name: str) -> None:
        """Settings that were drawn before: seeds are fixed, so they would score the same."""
        value = self._values.get(name)
        self._repeats += 1
        self._study.tell(trial.number, value, state=_state("failed" if value is None else "finished"))

    def is_behind(self, name: str, epoch: int, score: float) -> bool:
        """Whether a trial is worse than the median of others at the same epoch, by Optuna's MedianPruner."""
        trial = self._open.get(name)
        if trial is None:
            return False
        trial.report(score, epoch)
        return bool(trial.should_prune())

    def tell(self, name: str, status: str, value: float | None = None, reason: str = "") -> None:
        """What became of a configuration; value: its score where it finished."""
        if name in self._settled:
            return
        trial = self._open.pop(name, None)
        state = _state(status)
        if trial is None:
            self._add(self._known[name], state, value, reason)
        else:
            trial.set_user_attr(_REASON, reason)
            self._study.tell(trial.number, value, state=state)
        self._settled[name] = (status, reason)
        if value is not None:
            self._values[name] = value

    def _recall(self) -> None:
        """What earlier calls have found; what they left open is put first in the queue."""
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False)
        self._names = {name for trial in trials if (name := _name_of(trial))}
        waiting = {_name_of(trial) for trial in trials if trial.state == TrialState.WAITING}
        for trial in trials:
            name = _name_of(trial)
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or _REASON in trial.user_attrs:
                self._remember(name, trial)
            elif trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
                if trial.params and name not in waiting:
                    self._study.enqueue_trial(dict(trial.params), user_attrs={_NAME: name})

    def _remember(self, name: str, trial: FrozenTrial) -> None:
        from optuna.trial import TrialState

        words = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned"}
        if name in self._settled:
            self._repeats += 1
            return
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            self._values[name] = trial.value
        if not self._grid:
            self._known[name] = self._configuration(name, trial.params)
        self._settled[name] = words.get(trial.state, "failed"), str(trial.user_attrs.get(_REASON, ""))

    def _name(self, trial: Trial) -> str:
        """c01, c02, …; of an earlier trial with the same settings its name, so that nothing runs twice."""
        one = self._configuration("", trial.params)
        same = (known.name for known in self._known.values() if _is_same(known, one))
        name = next(same, f"c{len(self._names) + 1:02}")
        self._names.add(name)
        return name

    def _configuration(self, name: str, parameters: Mapping[str, Any]) -> Configuration:
        point = {
            key: json.loads(parameters[key]) if axis.choices else parameters[key]
            for key, axis in self._space.space.items()
        }
        return configuration(self._space, str(parameters.get(_VARIANT, "")), point, name)

    def _add(self, one: Configuration, state: Any, value: float | None, reason: str) -> None:
        """One of a grid, by its place in the whole of it: Optuna refuses categories that become more."""
        from optuna.distributions import IntDistribution
        from optuna.trial import create_trial

        place = [known.name for known in self._grid].index(one.name) + 1
        about = {_NAME: one.name, **({_REASON: reason} if reason else {})}
        self._study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={_NUMBER: place},
                distributions={_NUMBER: IntDistribution(1, grid_size(self._space))},
                user_attrs={**about, "settings": json.dumps(one.told, sort_keys=True)},
            )
        )


@contextlib.contextmanager
def opened(space: Space, folder: Path) -> Iterator[Search]:
    """The search of a sweep's folder, made where there is none. Raises MissingExtra, RunError."""
    try:
        import optuna
        import sqlalchemy
    except ImportError as error:
        raise MissingExtra.of("train", error.name or "optuna") from None
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    address = sqlalchemy.URL.create("sqlite", database=str(folder / FILE)).render_as_string()
    try:
        storage = RDBStorage(address)
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise RunError(
            f"damaged, or in use by another program ({reason})",
            where=str(folder / FILE),
            fix="choose another folder with --out, or remove this file: finished runs are taken over",
        ) from None
    try:
        yield Search(space, _study(space, storage))
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _study(space: Space, storage: Any) -> Study:
    import optuna

    study = optuna.create_study(
        storage=storage,
        study_name=space.name,
        direction="minimize" if space.is_loss else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
        load_if_exists=True,
    )
    # Another seed for each call: the same one would draw again what was drawn before.
    seed = (space.seed + len(study.get_trials(deepcopy=False))) % 2**32
    tpe = optuna.samplers.TPESampler(seed=seed)
    study.sampler = tpe if space.method == "tpe" else optuna.samplers.RandomSampler(seed=seed)
    return study


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    made = {key: _distribution(axis) for key, axis in space.space.items()}
    if space.variant:
        made[_VARIANT] = _categories([one.name for one in space.variant])
    return made


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if axis.choices:
        return _categories([json.dumps(value, sort_keys=True) for value in axis.choices])
    if axis.is_whole:
        step = 1 if axis.step is None else int(axis.step)
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=step)
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _categories(names: list[str]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(names)  # text alone: other kinds are not kept as they are


def _is_same(a: Configuration, b: Configuration) -> bool:
    return (a.variant, a.settings, a.per_class) == (b.variant, b.settings, b.per_class)


def _state(status: str) -> Any:
    from optuna.trial import TrialState

    return {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[status]


def _name_of(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(_NAME, ""))
