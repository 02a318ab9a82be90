"""Are planted near duplicates found, is what is found one, and how long does the search take?

recall   of 200 photos of each part, a re-encoded (JPEG, quality 60), a resized (50 %), a mirrored and three
         cropped versions are planted, one kind at a time, in the class of their source: 5 % or 10 % of width
         and height cut away, as chance divides it between the sides, and 5 % at each of the four sides.
         Found is a version that is in the group of its source.
precision  of the photos that share a group with a planted version, those that show its source: the source
         itself, and what is grouped with the source where nothing is planted. Groups among the photos as they
         are have no truth to compare with: they are counted, and drawn with --montage for whoever looks.
search   time and peak memory of the search alone, on fingerprints drawn at random, with pairs planted

Thresholds were chosen on the part `tuning` alone; `scans` holds what looks alike and is not: handwriting on
white paper, and 8×8 digits.
    python benchmarks/near_duplicates.py --shared DATA
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import common
from sortograph.api.digits import write_digits
from sortograph.dataset.neighbours import near_pairs
from sortograph.dataset.twins import SIZE, find_twins
from sortograph.evaluation.intervals import wilson
from sortograph.images.decode import decode
from sortograph.images.inspect import facts_of, read_bytes
from sortograph.images.preprocess import prepare
from sortograph.images.walk import photos_below
from sortograph.records import DatasetIndex, PhotoFacts, PreprocessSpec
from sortograph.records.looks import UNIT, WAVES

SHARED = "../shared/data"
# Sets of each part; sports100 is halved by a hash of the path.
PARTS = {
    "tuning": ("food-scenes", "sports100/0"),
    "report": ("weather", "cats-dogs", "sports100/1"),
    "scans": ("digits-photos", "digits"),
}
PACKAGES = ("numpy", "pillow")
SCALES = (10_000, 100_000, 1_000_000)
PLANTED = 100
_SPEC = PreprocessSpec(size=SIZE)
Draw = random.Random


@dataclass(frozen=True, slots=True)
class Photo:
    """`source` is the path of the photo that it was made from, or its own."""

    path: str
    label: str
    source: str
    facts: PhotoFacts
    pixels: NDArray[np.uint8]


def photo_of(data: bytes, path: str, source: str) -> Photo:
    label = source.rpartition("/")[0]
    return Photo(path, label, source, facts_of(data), prepare(data, _SPEC))


def files_of(shared: Path, folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    """(file, path with the name of the set) of one set, or of one half of it."""
    base, _, half = name.partition("/")
    root = write_digits(folder / "digits") if base == "digits" else shared / base
    for file in photos_below(root):
        path = f"{base}/{file.relative_to(root).as_posix()}"
        if not half or hashlib.sha256(path.encode()).digest()[0] % 2 == int(half):
            yield file, path


def in_threads(make: Callable[[Any], Photo], items: Iterable[Any]) -> list[Photo]:
    with ThreadPoolExecutor(common.cores()) as pool:
        return list(pool.map(make, items))


def _jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _half(image: Image.Image, _draw: Draw) -> bytes:
    size = (max(1, image.width // 2), max(1, image.height // 2))
    return _jpeg(image.resize(size, Image.Resampling.LANCZOS))


def _trim(image: Image.Image, _draw: Draw) -> bytes:
    across, down = round(image.width * 0.05), round(image.height * 0.05)
    return _jpeg(image.crop((across, down, image.width - across, image.height - down)))


def _crop(image: Image.Image, draw: Draw, kept: float) -> bytes:
    width, height = max(1, round(image.width * kept)), max(1, round(image.height * kept))
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    return _jpeg(image.crop((left, top, left + width, top + height)))


KINDS: dict[str, Callable[[Image.Image, Draw], bytes]] = {
    "quality-60": lambda image, _: _jpeg(image, 60),
    "half-size": _half,
    "mirrored": lambda image, _: _jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "cropped-5": lambda image, draw: _crop(image, draw, 0.95),
    "trimmed-5": _trim,
    "cropped-10": lambda image, draw: _crop(image, draw, 0.90),
}


def planted(kind: str, chosen: list[tuple[Path, str]], seed: int) -> list[Photo]:
    def make(item: tuple[Path, str]) -> Photo:
        file, path = item
        image = Image.fromarray(decode(read_bytes(file)))
        data = KINDS[kind](image, Draw(f"{seed}:{kind}:{path}"))
        return photo_of(data, f"{path}.{kind}.jpg", path)

    return in_threads(make, chosen)


def index_of(photos: list[Photo]) -> DatasetIndex:
    classes = sorted({photo.label for photo in photos})
    places = {name: place for place, name in enumerate(classes)}
    blank = ("",) * len(photos)
    return DatasetIndex(
        root=Path("photos"),
        classes=tuple(classes),
        paths=tuple(photo.path for photo in photos),
        labels=np.array([places[photo.label] for photo in photos]),
        groups=blank,
        splits=blank,
        sha256=tuple(photo.facts.sha256 for photo in photos),
        sizes=np.array([(photo.facts.width, photo.facts.height) for photo in photos], dtype=np.int32),
        looks=np.stack([photo.facts.look for photo in photos if photo.facts.look is not None]),
    )


@dataclass(frozen=True, slots=True)
class Grouped:
    """names: of the group of each photo; large: photos in groups too large to be merged."""

    names: dict[str, str]
    large: int
    seconds: float

    def members(self) -> dict[str, list[str]]:
        members: dict[str, list[str]] = {}
        for path, name in self.names.items():
            if name:
                members.setdefault(name, []).append(path)
        return members


def grouped(photos: list[Photo]) -> Grouped:
    index = index_of(photos)
    start = time.perf_counter()
    twins = find_twins(index, lambda rows: np.stack([photos[row].pixels for row in rows]))
    seconds = time.perf_counter() - start
    names = dict(zip(index.paths, twins.names, strict=True))
    return Grouped(names, sum(len(group.paths) for group in twins.large), seconds)


def judged(before: Grouped, after: Grouped, versions: list[Photo]) -> dict[str, Any]:
    """Recall and precision of the versions, as the head of this file says."""
    source = {photo.path: photo.source for photo in versions}
    found = sum(after.names[p] != "" and after.names[p] == after.names[s] for p, s in source.items())
    kin = {path: before.names[path] or path for path in before.names}
    right = wrong = 0
    for members in after.members().values():
        origins = [kin[source.get(path, path)] for path in members]
        for path, origin in zip(members, origins, strict=True):
            if path in source:
                same = origins.count(origin) - 1
                right, wrong = right + same, wrong + len(members) - 1 - same
    recall = wilson(found, len(versions))
    precision = wilson(right, right + wrong) if right + wrong else None
    return {
        "planted": len(versions),
        "found": found,
        **_interval("recall", recall),
        "pairs": right + wrong,
        "right": right,
        **_interval("precision", precision),
        "seconds": after.seconds,
    }


def _interval(name: str, estimate: Any) -> dict[str, Any]:
    values = (estimate.value, estimate.low, estimate.high) if estimate else ("", "", "")
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def measure(part: str, options: argparse.Namespace, session: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        files = [item for name in PARTS[part] for item in files_of(options.shared, Path(folder), name)]
        photos = in_threads(lambda item: photo_of(read_bytes(item[0]), item[1], item[1]), files)
        before = grouped(photos)
        describe(part, photos, before)
        if options.montage:
            draw_groups(options.montage / f"{part}.png", photos, before)
        # Versions of 8×8 digits would be no photos; these are here to be told apart.
        able = [item for item in files if not item[1].startswith("digits/")]
        chosen = Draw(options.seed).sample(sorted(able, key=lambda item: item[1]), options.count)
        rows = []
        for kind in KINDS:
            versions = planted(kind, chosen, options.seed)
            figures = judged(before, grouped(photos + versions), versions)
            about = {"session": session, "part": part, "sets": " ".join(PARTS[part]), "seed": options.seed}
            rows.append({**about, "photos": len(photos), "kind": kind, **figures})
            tell(rows[-1])
    return rows


def tell(row: dict[str, Any]) -> None:
    recall = "{recall:.3f} [{recall_low:.3f}, {recall_high:.3f}] of {planted}".format(**row)
    precision = "{precision:.3f} [{precision_low:.3f}, {precision_high:.3f}] of {pairs}".format(**row)
    print(f"  {row['kind']:11} recall {recall}  precision {precision}  {row['seconds']:.1f} s", flush=True)


def describe(part: str, photos: list[Photo], before: Grouped) -> None:
    """What is grouped where nothing is planted, set by set; exact groups are those of one sha256."""
    contents = {photo.path: photo.facts.sha256 for photo in photos}
    print(f"{part}: {len(photos)} photos, {before.large} in groups too large to merge")
    for name in dict.fromkeys(photo.path.partition("/")[0] for photo in photos):
        inside = [path for path in contents if path.startswith(f"{name}/")]
        copies = len(inside) - len({contents[path] for path in inside})
        groups = [g for g in before.members().values() if g[0].startswith(f"{name}/")]
        near = [g for g in groups if len({contents[path] for path in g}) > 1]
        extra = sum(len({contents[path] for path in g}) - 1 for g in near)
        print(
            f"  {name}: {len(inside)} photos, {copies} exact copies; {len(groups)} groups, {len(near)} of "
            f"them with near duplicates ({extra} beyond the copies)"
        )


def draw_groups(path: Path, photos: list[Photo], before: Grouped) -> None:
    """A line for each group with near duplicates, each content once."""
    by_path = {photo.path: photo for photo in photos}
    lines = []
    for members in before.members().values():
        different = {by_path[member].facts.sha256: by_path[member].pixels for member in members}
        if len(different) > 1:
            lines.append(np.concatenate(list(different.values())[:6], axis=1))
    if lines:
        width, height = 6 * SIZE[1], SIZE[0]
        sheet = Image.new("RGB", (3 * width, -(-len(lines) // 3) * height), "white")
        for place, line in enumerate(lines):
            sheet.paste(Image.fromarray(line), (place % 3 * width, place // 3 * height))
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)


def drawn(n: int, seed: int) -> NDArray[np.int16]:
    """Fingerprints of n photos: normal waves that shrink with their frequency, as those of photos do."""
    generator = np.random.default_rng(seed)
    spread = 1 / np.maximum(1, np.hypot(*np.indices((WAVES, WAVES))))
    spread[0, 0] = 0
    found = np.empty((n, WAVES * WAVES), dtype=np.int16)
    for start in range(0, n, 50_000):
        waves = generator.normal(size=(min(50_000, n - start), WAVES, WAVES)) * spread
        waves /= np.sqrt(np.square(waves).sum(axis=(1, 2), keepdims=True))
        found[start : start + 50_000] = np.rint(waves * UNIT).reshape(len(waves), -1)
    # The last ones are the first ones with a little noise, every other one mirrored.
    mirror = np.tile(np.where(np.arange(WAVES) % 2, -1, 1), WAVES)
    copies = found[:PLANTED] + np.rint(generator.normal(scale=0.003 * UNIT, size=(PLANTED, WAVES * WAVES)))
    copies[::2] *= mirror
    found[-PLANTED:] = copies
    return found


def search(n: int, seed: int) -> None:
    """Runs in a process of its own, whose peak memory is that of the search; prints JSON."""
    fingerprints = drawn(n, seed)
    start = time.perf_counter()
    pairs = near_pairs(fingerprints)
    seconds = time.perf_counter() - start
    expected = set(zip(range(PLANTED), range(n - PLANTED, n), strict=True))
    found = len(expected & set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)))
    print(json.dumps({"seconds": seconds, "memory_mb": _peak(), "pairs": len(pairs), "found": found}))


def _peak() -> float | str:
    """Megabytes; "" on Windows."""
    try:
        import resource
    except ImportError:
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def scaled(n: int, seed: int, session: str) -> dict[str, Any]:
    here = str(Path(__file__).resolve())
    done = common.run(common.Command((sys.executable, here, "--search", str(n), "--seed", str(seed))))
    figures = json.loads(done.stdout)
    print(f"search: {n} fingerprints, {figures}", flush=True)
    return {"session": session, "fingerprints": n, "seed": seed, "planted": PLANTED, **figures}


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Near duplicates: recall, precision, time.")
    shared = Path(os.environ.get("SORTOGRAPH_SHARED", SHARED))
    parser.add_argument("--shared", type=Path, default=shared, help="the folder with the photo sets")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (default: 1)")
    parser.add_argument("--count", type=int, default=200, help="photos planted of each kind (default: 200)")
    parser.add_argument("--parts", default=",".join(PARTS), help="a choice of parts")
    parser.add_argument("--scales", default=",".join(map(str, SCALES)), help='fingerprints; "" for none')
    parser.add_argument("--montage", type=Path, help="a folder for pictures of the groups found")
    parser.add_argument("--search", type=int, help="only the search, in this process: fingerprints")
    return parser.parse_args()


def main() -> None:
    options = options_of()
    if options.search:
        search(options.search, options.seed)
        return
    session = common.session()
    # The searches first: a process starts with the memory peak of the one that starts it.
    for n in filter(None, options.scales.split(",")):
        row = scaled(int(n), options.seed, session)
        common.append_rows(common.results_file("near-duplicates-search", PACKAGES), [row])
    for part in filter(None, options.parts.split(",")):
        rows = measure(part, options, session)
        common.append_rows(common.results_file("near-duplicates", PACKAGES), rows)


if __name__ == "__main__":
    main()
