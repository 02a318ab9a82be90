"""Where in the destination a photo goes: a pattern of folders and fields."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import datetime

from sortograph.errors import UsageError, counted, nearest
from sortograph.sorting.names import portable

DEFAULT = "{label}/{name}"
FIELDS = ("label", "name", "stem", "suffix", "folder", "date", "probability")

_ENDS = ("name", "suffix")
_DIRECTIVES = frozenset("YymdHMSjbBaAUWVGup%")
_DATE = re.compile(r"%(.?)", re.DOTALL)
_PROBABILITY = re.compile(r"(\.[0-9]f|\.[0-9]%)?")
_NO_LITERAL = re.compile('[\x00-\x1f<>:"|?*\\\\]')
_UNCUT = 1 << 16


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fields of a template say of one photo.

    folder: of the class; below: folder of the photo below the source, posix, "" for the source itself
    name: of the photo, with its suffix; taken: None unless the template asks for a date
    """

    folder: str
    name: str
    below: str = ""
    probability: float = 0.0
    taken: datetime | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern that was checked. `parts` are (text, field or "", format) in their order."""

    text: str
    parts: tuple[tuple[str, str, str], ...]

    @property
    def asks_for_date(self) -> bool:
        return any(field == "date" for _, field, _ in self.parts)

    def expand(self, facts: Facts) -> str:
        """Relative posix path below the destination, of names as they come: they may be no fit names yet.

        >>> facts = Facts("cat", "1.jpg", taken=datetime(2024, 5, 1))
        >>> read_template("{date:%Y-%m}/{label}/{name}").expand(facts)
        '2024-05/cat/1.jpg'
        """
        return "".join(literal + _value(field, form, facts) for literal, field, form in self.parts)


def fit_path(path: str) -> tuple[str, str]:
    """Folder and name of a path of which each part is a name that any system takes, and that leads downwards.

    >>> fit_path("a/../b//c/CON.jpg")
    ('a/_/b/c', '_CON.jpg')
    """
    *folders, name = [part for part in path.split("/") if part]
    return "/".join(map(portable, folders)), portable(name, _UNCUT)


def read_template(text: str) -> Template:
    """Check a template. Raises UsageError with all of its mistakes.

    >>> read_template("{lable}/{name}")
    Traceback (most recent call last):
    sortograph.errors.UsageError: 1 mistake in the template '{lable}/{name}':
      no field 'lable' (did you mean 'label'?)
      expected: fields label, name, stem, suffix, folder, date, probability, as in {label}/{name}
    """
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise _refused(text, [str(error)]) from None
    mistakes = [
        mistake
        for _, field, form, conversion in parsed
        if field is not None
        for mistake in _wrong_field(field, form or "", conversion)
    ]
    parts = tuple((literal, field or "", form or "") for literal, field, form, _ in parsed)
    mistakes += _wrong_text(parts)
    if mistakes:
        raise _refused(text, mistakes)
    return Template(text, parts)


def _refused(text: str, mistakes: list[str]) -> UsageError:
    lines = "".join(f"\n  {mistake}" for mistake in mistakes)
    return UsageError(
        f"{counted(len(mistakes), 'mistake')} in the template {text[:200]!r}:{lines}",
        expected=f"fields {', '.join(FIELDS)}, as in {DEFAULT}",
    )


def _wrong_field(field: str, form: str, conversion: str | None) -> list[str]:
    if field not in FIELDS:
        return [f"no field {field[:80]!r}{nearest(field, FIELDS)}" if field else "a field without a name"]
    wrong = [f"'!{conversion}' after {field!r}: fields are not converted"] if conversion else []
    if field == "date":
        return wrong + _wrong_date(form)
    if field == "probability" and _PROBABILITY.fullmatch(form):
        return wrong
    return [*wrong, f"{field!r} takes no format, not {form[:80]!r}"] if form else wrong


def _wrong_date(form: str) -> list[str]:
    """Only what all systems know: the C library of Windows gives up on others."""
    unknown = [found for found in _DATE.findall(form) if found not in _DIRECTIVES]
    wrong = [f"'%{letter}' in the date is not known everywhere" for letter in dict.fromkeys(unknown)]
    return wrong + (["a field within the format of the date"] if "{" in form or "}" in form else [])


def _wrong_text(parts: tuple[tuple[str, str, str], ...]) -> list[str]:
    literals = "".join(text for text, _, _ in parts)
    wrong = []
    if found := _NO_LITERAL.findall(literals):
        wrong.append(
            f"characters that not every system takes in names: {' '.join(dict.fromkeys(map(repr, found)))}"
        )
    whole = "".join(f"{text}{_stand_in(field)}" for text, field, _ in parts)
    if any(part.startswith(".") for part in whole.split("/")):
        wrong.append("a folder or name that starts with a dot")
    if whole.startswith("/"):
        wrong.append("it starts with a slash: paths are below the destination")
    if not parts or parts[-1][1] not in _ENDS:
        wrong.append(
            "it does not end in {name} or {suffix}, so that photos would lose what their names say of them"
        )
    return wrong


def _stand_in(field: str) -> str:
    return "x" if field else ""


def _value(field: str, form: str, facts: Facts) -> str:
    """The text of a field; only those of folders and dates may have slashes."""
    stem, dot, suffix = facts.name.rpartition(".")
    match field:
        case "folder":
            return facts.below
        case "date":
            assert facts.taken is not None
            return facts.taken.strftime(form or "%Y-%m-%d")
        case "probability":
            return format(facts.probability, form or ".2f")
        case "label":
            return facts.folder
        case "stem":
            return stem if dot else facts.name
        case "suffix":
            return dot + suffix if dot else ""
        case "name":
            return facts.name
        case _:
            return ""
