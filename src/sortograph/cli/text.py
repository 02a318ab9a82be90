"""How wide text is on a terminal, and numbers in it."""

from __future__ import annotations

import unicodedata

from sortograph.errors import UsageError


def width(text: str) -> int:
    """Columns of a terminal that the text takes: East Asian wide characters take two, accents none.

    >>> width("새 a"), width("e\\u0301")
    (4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def padded(text: str, columns: int, align: str = "l") -> str:
    room = " " * (columns - width(text))
    return text + room if align == "l" else room + text


def percent(share: float) -> str:
    """
    >>> percent(0.9125)
    '91.2 %'
    """
    return f"{100 * share:.1f} %"


def wrong_share(text: str, command: str) -> float:
    """What --max-error says, 0–1. Raises UsageError.

    >>> wrong_share("2%", "predict"), wrong_share("0.02", "predict")
    (0.02, 0.02)
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageError(
            f"--max-error is {text}",
            expected="a share of wrong answers, such as 2% or 0.02",
            fix=f"{command} --help",
        )
    return value


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0  # medial and final Hangul of names that macOS took apart are drawn into the first
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
