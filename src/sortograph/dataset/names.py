"""Names of classes and splits: what they mean, how they are shown, and which would be confused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sortograph.errors import DataError, listed
from sortograph.images.names import composed, folded

_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLIT_NAMES = {
    spelling: split
    for split, words in _SPLIT_WORDS.items()
    for word in words
    for spelling in (word, f"{word}_set")
}


def split_of(name: str) -> str:
    """The split that a folder name or a table cell means, or "".

    >>> split_of("Training_Set"), split_of("valid"), split_of("cats")
    ('train', 'validation', '')
    """
    return SPLIT_NAMES.get(name.strip().casefold().replace("-", "_").replace(" ", "_"), "")


def is_text(name: str) -> bool:
    """False for names whose bytes are no UTF-8: Python marks them, and no JSON or CSV can hold them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name or path fit for one line of any terminal.

    >>> print(shown("caf\\udce9\\n.jpg"))
    caf\\udce9\\n.jpg
    """
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return escaped.encode("utf-8", "backslashreplace").decode()


def check_class_names(names: Sequence[str], where: str) -> None:
    """Raises DataError for names that are no text, and for different names that a person or a file
    system would take for the same. `names` are as found, one for each place."""
    broken = [shown(name) for name in names if not is_text(name)]
    if broken:
        raise DataError(
            f"class names that are not valid UTF-8: {listed(broken)}",
            where=where,
            expected="names that can be written as text",
            fix="rename these folders",
        )
    clashes = _clashes(names)
    if clashes:
        raise DataError(
            f"class names that differ only by case: {listed(clashes)}",
            where=where,
            expected="class names that differ by more than upper and lower case",
            fix="rename or merge these classes",
        )


def _clashes(names: Iterable[str]) -> list[str]:
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(folded(name), set()).add(composed(name))
    return [
        " and ".join(repr(name) for name in sorted(group)) for group in spellings.values() if len(group) > 1
    ]
