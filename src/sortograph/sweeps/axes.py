"""What one setting may be: some values, or a range."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_KEYS = ("low", "high", "step", "log")
_MOST = 1000  # values of one axis of a grid
Number = int | float


@dataclass(frozen=True, slots=True)
class Axis:
    """`choices`, or a range from `low` to `high`, both in it; of whole numbers where all of them are.

    step  distance of values; a range of whole numbers has 1 where none is given
    log   whether equal ratios are equally likely
    """

    choices: tuple[Any, ...] = ()
    low: Number = 0
    high: Number = 0
    step: Number | None = None
    log: bool = False

    @classmethod
    def of(cls, data: Any) -> Axis:
        """From what TOML has. Raises ValueError.

        >>> Axis.of([0.0, 0.5]).values(), Axis.of({"low": 1, "high": 4, "step": 1}).values()
        ((0.0, 0.5), (1, 2, 3, 4))
        """
        if isinstance(data, Axis):
            return data
        if isinstance(data, Mapping):
            return cls._range(data)
        if not isinstance(data, Sequence) or isinstance(data, str):
            raise ValueError("expected a list of values, or {low = …, high = …}")
        if not data:
            raise ValueError("an empty list of values")
        texts = [json.dumps(value, sort_keys=True) for value in data]
        if len(set(texts)) < len(texts):
            raise ValueError("a value twice")
        return cls(choices=tuple(data))

    @classmethod
    def _range(cls, data: Mapping[str, Any]) -> Axis:
        unknown = [key for key in data if key not in _KEYS]
        if unknown or "low" not in data or "high" not in data:
            raise ValueError(
                f"expected low and high, perhaps step or log, not {', '.join(data) or 'nothing'}"
            )
        numbers = [data[key] for key in ("low", "high", "step") if key in data]
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
            raise ValueError("low, high and step must be numbers")
        made = cls((), data["low"], data["high"], data.get("step"), data.get("log", False))
        if problem := made._problem():
            raise ValueError(problem)
        return made

    def _problem(self) -> str:
        if not isinstance(self.log, bool):
            return "log must be true or false"
        if not self.low < self.high:
            return f"low must be below high, not {self.low} and {self.high}"
        if self.log and (self.low <= 0 or self.step is not None):
            return "log needs a low above 0, and no step"
        if self.step is not None and self.step <= 0:
            return "step must be above 0"
        return ""

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        numbers = (self.low, self.high, 1 if self.step is None else self.step)
        return not self.choices and all(isinstance(number, int) for number in numbers)

    def values(self) -> tuple[Any, ...]:
        """All of them, for a grid; none where a range has too many to name."""
        if self.choices:
            return self.choices
        step = 1 if self.step is None and self.is_whole and not self.log else self.step
        if step is None or (self.high - self.low) / step > _MOST:
            return ()
        count = int((self.high - self.low) / step + 1e-9) + 1
        # Of decimal steps, the sum as it would be written: 0.30000000000000004 is no one's setting.
        return tuple(
            self.low + k * step if self.is_whole else float(f"{self.low + k * step:.12g}")
            for k in range(count)
        )

    def ends(self) -> tuple[Any, ...]:
        """Values that tell whether a recipe takes them: all choices, or both ends."""
        return self.choices or (self.low, self.high)

    def plain(self) -> Any:
        """What TOML has, the inverse of `of`."""
        if self.choices:
            return list(self.choices)
        data: dict[str, Any] = {"low": self.low, "high": self.high}
        data |= {} if self.step is None else {"step": self.step}
        return data | ({"log": True} if self.log else {})
