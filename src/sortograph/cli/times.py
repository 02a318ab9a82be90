"""Spans of time as people type them."""

from __future__ import annotations

import re

from sortograph.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str | None, option: str = "--budget") -> float | None:
    """Raises UsageError.

    >>> seconds("90"), seconds("60s"), seconds("1.5m"), seconds("2h"), seconds(None)
    (90.0, 60.0, 90.0, 7200.0, None)
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|)\s*", text)
    if found is None or float(found[1]) == 0:
        raise UsageError(
            f"{option} {text}", expected="a time above 0: seconds, minutes or hours", fix=f"{option} 5m"
        )
    return float(found[1]) * _UNITS[found[2]]
