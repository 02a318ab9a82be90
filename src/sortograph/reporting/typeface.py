"""Letters for pictures: the shipped typeface first, so that a sheet looks the same on every machine.

Characters that it lacks (Han, rare Hangul and others) come from the fonts of the system, which are
looked for only then. A character that no font has is drawn as an empty box.
"""

from __future__ import annotations

import atexit
import os
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

FAMILY = "Sortograph Sans KR"
_BOX = "□"
_NOWHERE = "\U0010fffd"  # the last private character, which fonts leave out
_LONGEST = 300
# In this order; the second part of the list is for other scripts.
_WANTED = (
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKkr-Regular.otf",
    "NotoSansKR-Regular.otf",
    "NotoSansKR-Regular.ttf",
    "NanumGothic.ttf",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "segoeui.ttf",
    "seguisym.ttf",
    "DejaVuSans.ttf",
)


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a font file: `index` counts the faces of a collection (.ttc)."""

    path: Path
    index: int = 0


def drawable(text: str) -> str:
    """One line that any font engine takes: composed (NFC), without control and direction marks.

    >>> drawable("a\\nb\\u202ec")
    'a b c'
    """
    composed = unicodedata.normalize("NFC", text[:_LONGEST])
    return "".join(map(_harmless, composed))


def _harmless(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cs":
        return _BOX
    return " " if category in ("Cc", "Cf", "Zl", "Zp") else char


def width(text: str, size: int) -> float:
    """Pixels from the start of `text` to where the next letter would start, at `size` pixels per em."""
    return sum(_font(face, size).getlength(run) for face, run in _runs(drawable(text)))


def draw(canvas: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, fill: str) -> None:
    """Draw one line with the left end of its baseline at `at`. Never raises for what `text` holds."""
    x, y = at
    for face, run in _runs(drawable(text)):
        font = _font(face, size)
        canvas.text((x, y), run, font=font, fill=fill, anchor="ls")
        x += font.getlength(run)


def shorten(text: str, room: float, size: int) -> str:
    """`text`, or as much of its beginning as fits `room` pixels with an ellipsis.

    >>> shorten("a very long name", 40, 12)
    'a ver…'
    """
    text = drawable(text)
    if width(text, size) <= room:
        return text
    fitting = bisect_right(range(len(text)), room, key=lambda k: width(text[: k + 1] + "…", size))
    return text[:fitting].rstrip() + "…"


def _runs(text: str) -> Iterator[tuple[Face, str]]:
    for face, run in groupby(text, _face_of):
        yield face, "".join(run)


@lru_cache(maxsize=8192)
def _face_of(char: str) -> Face:
    """The first face that has this character, else the shipped one, which draws a box."""
    if char.isspace() or _has(shipped(), char):
        return shipped()
    return next((face for face in system_faces() if _has(face, char)), shipped())


def _has(face: Face, char: str) -> bool:
    # Pillow does not tell which characters a font has: a missing one is drawn as the font's own box.
    font = _font(face, 24)
    mask, missing = font.getmask(char), font.getmask(_NOWHERE)
    if mask.getbbox() is None:
        return False
    return mask.size != missing.size or bytes(mask) != bytes(missing)


@lru_cache(maxsize=64)
def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return _loaded(face, size)


def _loaded(face: Face, size: int) -> ImageFont.FreeTypeFont:
    # Not ImageFont.truetype: for a damaged file that takes one of the same name from elsewhere. The basic
    # layout engine is in every build of Pillow and gives the same widths everywhere.
    return ImageFont.FreeTypeFont(face.path, size, face.index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1)
def shipped() -> Face:
    """The typeface in the package; the file stays there until the program ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    font = resources.files("sortograph.reporting") / "fonts" / "SortographSansKR.otf"
    return Face(stack.enter_context(resources.as_file(font)))


@lru_cache(maxsize=1)
def system_faces() -> tuple[Face, ...]:
    """Faces of the system that add characters, Korean ones first; empty where there are none."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for parent, _, names in os.walk(folder):
            for name in names:
                found.setdefault(name.casefold(), Path(parent, name))
    wanted = [found[name.casefold()] for name in _WANTED if name.casefold() in found]
    return tuple(face for path in wanted for face in _opened(path))


def _opened(path: Path) -> list[Face]:
    """The Korean face of a collection, the only face of other files, none of damaged files."""
    names: list[str] = []
    try:
        for index in range(16 if path.suffix.casefold() == ".ttc" else 1):
            names.append(_loaded(Face(path, index), 12).getname()[0] or "")
    except OSError:
        pass  # past the last face
    if not names:
        return []
    return [Face(path, next((i for i, name in enumerate(names) if name.endswith(" KR")), 0))]


def _folders() -> list[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is no home
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home), "Microsoft", "Windows", "Fonts")
        return [Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts"), local]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    shared = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
    return [*shared, home / ".local" / "share" / "fonts", home / ".fonts"]


def plot_text(text: str, longest: int = 28) -> str:
    """Text for matplotlib, which warns of characters that it cannot draw: they become boxes."""
    line = drawable(text)
    line = line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
    return "".join(char if char.isspace() or _has(_face_of(char), char) else _BOX for char in line)


def plot_families(texts: Iterable[str]) -> list[str]:
    """Names of font families for matplotlib that together have all characters of `texts`.

    The fonts are made known to matplotlib's own register.
    """
    from matplotlib import font_manager

    faces = dict.fromkeys([shipped(), *(_face_of(char) for text in texts for char in text)])
    known = {entry.fname: entry.name for entry in font_manager.fontManager.ttflist}
    for face in faces:
        if str(face.path) not in known:
            font_manager.fontManager.addfont(str(face.path))
    known = {entry.fname: entry.name for entry in reversed(font_manager.fontManager.ttflist)}
    return list(dict.fromkeys(known[str(face.path)] for face in faces))
