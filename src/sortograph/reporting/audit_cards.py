"""What the page of an audit shows of each finding, within bounds that keep a big folder's page usable."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from sortograph.records import DatasetIndex, Finding

Thumbnails = Callable[[Sequence[str]], Mapping[str, bytes]]

TILES_EACH = 12  # photos shown of one finding
TILES = 400  # photos shown on the page
PICTURE_BYTES = 6_000_000  # of all thumbnails together; a third more as base64
LETTERS = 1_000_000  # of the names in lists, together
_BARE = 40  # findings of one check in full, even though they show no photo
_NAMED = 4  # photos named of a finding that is only listed
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}


@dataclass(frozen=True, slots=True)
class Level:
    """How grave a finding is, in words: from `least` on."""

    key: str
    words: str
    least: float


LEVELS = (
    Level("grave", "grave", 0.7),
    Level("look", "look at this", 0.4),
    Level("minor", "good to know", 0.0),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One photo: its thumbnail as a data: URL ("" without) and what is written below it.

    reason   why there is no thumbnail
    differs  of "label" and "split": those that not all photos of the finding share
    """

    path: str
    url: str
    width: int
    height: int
    reason: str
    label: str
    split: str
    size: str
    aside: bool
    differs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Names:
    """The photos that are only named, each with a reason or "", and how many are not even named."""

    listed: tuple[tuple[str, str], ...]
    unlisted: int

    def __len__(self) -> int:
        return len(self.listed) + self.unlisted


@dataclass(frozen=True, slots=True)
class Card:
    """One finding; `remedy` is "" where the section says it for all."""

    level: Level
    message: str
    remedy: str
    tiles: tuple[Tile, ...]
    names: Names


@dataclass(frozen=True, slots=True)
class Section:
    """One check with findings, the gravest first; those beyond the bounds have no pictures (`rest`)."""

    title: str
    counts: tuple[int, ...]
    photos: int
    remedy: str
    cards: tuple[Card, ...]
    rest: tuple[Card, ...]
    unlisted: int

    @property
    def words(self) -> str:
        """
        >>> Section("Blank photos", (1, 0, 2), 3, "", (), (), 0).words
        '1 grave, 2 good to know'
        """
        told = zip(LEVELS, self.counts, strict=True)
        return ", ".join(f"{count} {level.words}" for level, count in told if count)


class _Room:
    """A bound that is used up bit by bit."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def fits(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True


class _Photos:
    """Looks photos up by path: those of the index, and those that were left out of it."""

    def __init__(self, index: DatasetIndex, wanted: Iterable[str]) -> None:
        asked = set(wanted)
        self._index = index
        self._rows = {path: row for row, path in enumerate(index.paths) if path in asked}
        self._reasons = {file.path: file.reason for file in index.rejected if file.path in asked}

    def reason(self, path: str) -> str:
        return self._reasons.get(path, "")

    def facts(self, path: str) -> tuple[str, str, str]:
        """Class, split and size, as text."""
        if (row := self._rows.get(path)) is None:
            return "", "", ""
        label, (width, height) = int(self._index.labels[row]), self._index.sizes[row].tolist()
        name = self._index.classes[label] if label >= 0 else ""
        return name, self._index.splits[row], f"{width} × {height}"


class _Pictures:
    """Thumbnails as data: URLs with their sizes, as long as there is room."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        self._pictures, self._room = pictures, _Room(PICTURE_BYTES)

    def of(self, path: str) -> tuple[str, int, int, str]:
        """URL, width, height, reason; the URL is "" where there is a reason not to show it."""
        data = self._pictures.get(path, b"")
        try:
            with Image.open(io.BytesIO(data), formats=tuple(_TYPES)) as image:
                kind, (width, height) = _TYPES[image.format or ""], image.size
        except (OSError, ValueError, Image.DecompressionBombError):
            return "", 0, 0, "no picture of it could be made"
        if not self._room.fits(len(data)):
            return "", 0, 0, "left out to keep this page small"
        return f"data:{kind};base64,{base64.b64encode(data).decode()}", width, height, ""


def level_of(severity: float) -> Level:
    """
    >>> level_of(0.7).words, level_of(0.69).words, level_of(0.0).words
    ('grave', 'look at this', 'good to know')
    """
    return next(level for level in LEVELS if severity >= level.least)


def level_counts(findings: Iterable[Finding]) -> tuple[int, ...]:
    """How many findings there are of each of LEVELS."""
    found = Counter(level_of(finding.severity) for finding in findings)
    return tuple(found[level] for level in LEVELS)


def title(check: str) -> str:
    """
    >>> title("near-duplicates")
    'Near duplicates'
    """
    words = check.replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def sections(findings: Sequence[Finding], index: DatasetIndex, thumbnails: Thumbnails) -> list[Section]:
    """One section a check, the one with the gravest finding first. `thumbnails` is called once at most."""
    ordered = sorted(findings, key=lambda finding: -finding.severity)
    photos = _Photos(index, (path for finding in ordered for path in finding.photos))
    shown = _share_out(ordered, photos)
    wanted = list(dict.fromkeys(path for paths in shown for path in paths))
    maker = _Maker(photos, _Pictures(thumbnails(wanted) if wanted else {}))
    by_check: dict[str, list[tuple[Finding, list[str]]]] = {}
    for finding, paths in zip(ordered, shown, strict=True):
        by_check.setdefault(finding.check, []).append((finding, paths))
    return [maker.section(check, pairs) for check, pairs in by_check.items()]


def _share_out(findings: Sequence[Finding], photos: _Photos) -> list[list[str]]:
    """The photos to show of each finding: the checks take turns, so that each of them shows some."""
    turns, seen = [], Counter[str]()
    for number, finding in enumerate(findings):
        turns.append((seen[finding.check], number))
        seen[finding.check] += 1
    shown: list[list[str]] = [[] for _ in findings]
    left = TILES
    for _, number in sorted(turns):
        readable = [path for path in findings[number].photos if not photos.reason(path)]
        shown[number] = readable[: min(TILES_EACH, left)]
        left -= len(shown[number])
    return shown


class _Maker:
    """Makes sections in the order of the page, and keeps account of the room that is left."""

    def __init__(self, photos: _Photos, pictures: _Pictures) -> None:
        self._photos, self._pictures, self._room = photos, pictures, _Room(LETTERS)

    def section(self, check: str, pairs: Sequence[tuple[Finding, list[str]]]) -> Section:
        remedies = {finding.remedy for finding, _ in pairs}
        shared = remedies.pop() if len(pairs) > 1 and len(remedies) == 1 else ""
        full = [pair for number, pair in enumerate(pairs) if pair[1] or number < _BARE]
        others = [finding for number, (finding, paths) in enumerate(pairs) if not paths and number >= _BARE]
        cards = tuple(self._card(finding, paths, shared) for finding, paths in full)
        named = [finding for finding in others if self._room.fits(len(finding.message) + _length(finding))]
        return Section(
            title=title(check),
            counts=level_counts(finding for finding, _ in pairs),
            photos=len({path for finding, _ in pairs for path in finding.photos}),
            remedy=shared,
            cards=cards,
            rest=tuple(_listed(finding, shared) for finding in named),
            unlisted=len(others) - len(named),
        )

    def _card(self, finding: Finding, paths: Sequence[str], shared: str) -> Card:
        differs = self._differences(finding)
        tiles = tuple(self._tile(path, path in finding.set_aside, differs) for path in paths)
        shown = set(paths)
        rest = [(path, self._photos.reason(path)) for path in finding.photos if path not in shown]
        listed = tuple(pair for pair in rest if self._room.fits(len(pair[0]) + len(pair[1])))
        names = Names(listed, len(rest) - len(listed))
        return Card(level_of(finding.severity), finding.message, _own(finding, shared), tiles, names)

    def _differences(self, finding: Finding) -> frozenset[str]:
        """What to point at: only groups that can be seen whole are compared."""
        if not 2 <= len(finding.photos) <= TILES_EACH:
            return frozenset()
        labels, splits, _ = map(set, zip(*map(self._photos.facts, finding.photos), strict=True))
        return frozenset(name for name, found in (("label", labels), ("split", splits)) if len(found) > 1)

    def _tile(self, path: str, aside: bool, differs: frozenset[str]) -> Tile:
        return Tile(path, *self._pictures.of(path), *self._photos.facts(path), aside, differs)


def _own(finding: Finding, shared: str) -> str:
    return "" if finding.remedy == shared else finding.remedy


def _length(finding: Finding) -> int:
    return sum(len(path) for path in finding.photos[:_NAMED])


def _listed(finding: Finding, shared: str) -> Card:
    named = tuple((path, "") for path in finding.photos[:_NAMED])
    names = Names(named, len(finding.photos) - len(named))
    return Card(level_of(finding.severity), finding.message, _own(finding, shared), (), names)
