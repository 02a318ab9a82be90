"""Whether plain data, of a file that anybody may have changed, is what our records become.

Beside the records and not in them: `predict` asks this of every model, and needs none of the dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def is_trust(value: Any) -> bool:
    """What `Trust.to_json` gives."""
    names = {"split", "n", "groups", "temperature", "abstain", "conformal", "likeness"}
    return (
        isinstance(value, dict)
        and set(value) - {"lacking"} == names
        and isinstance(value["split"], str)
        and all(type(value[name]) is int for name in ("n", "groups"))
        and is_number(value["temperature"])
        and 1e-4 <= value["temperature"] <= 1e4
        and are_rows(value["abstain"], is_abstain)
        and are_rows(value["conformal"], is_conformal)
        and (value["likeness"] is None or are_rows([value["likeness"]], is_likeness))
        and all(isinstance(name, str) for name in value.get("lacking", ()))
    )


def are_rows(value: Any, fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) and fits(row) for row in value)


def is_abstain(row: Mapping[str, Any]) -> bool:
    threshold = row.get("threshold", "missing")
    known = is_share(threshold) or (threshold is None and isinstance(row.get("reason"), str))
    return known and is_share(row.get("error")) and is_share(row.get("coverage", 0))


def is_conformal(row: Mapping[str, Any]) -> bool:
    return is_share(row.get("level")) and is_share(row.get("threshold"))


def is_likeness(row: Mapping[str, Any]) -> bool:
    return is_number(row.get("threshold")) and is_share(row.get("share"))


def is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
