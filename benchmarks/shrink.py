"""What shrinking a JPEG while it is decoded changes in the pixels that a model takes, and what it saves.

    python benchmarks/shrink.py
    python benchmarks/shrink.py --weights mobilenetv2_100.tf_in1k-int8deq.pth

JPEGs of 12 and 48 megapixels are made here, quality 90, with and without chroma subsampling; the camera
photos of the shared photo sets join them. Each is squashed to 64, 150, 224 and 384 pixels twice: by
`prepare`, which lets libjpeg shrink, and from the full decode. The difference is counted over all samples, in
levels of 255. The two ways take turns; `faster` is the median of the ratios within a round. `off_shrunk` and
`off_full` are the mean differences from the picture as it was before it was saved, squashed alike.

With --weights (needs sortograph[train]) it also counts how often a classifier of 1,000 classes changes its
mind: on shared photos, enlarged until they are shrunk again, and on a quarter as many pieces of the camera
photos, all saved at quality 92 with 4:2:0. Beside it, decoded in full: after saving them once more, at
quality 92 and at 75.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import common
from sortograph.images.decode import decode, measure, shrunk_size
from sortograph.images.preprocess import prepare, resize
from sortograph.records import PreprocessSpec

SHARED = Path(__file__).parents[2] / "shared" / "data"
SETS = ("weather", "cats-dogs", "food-scenes", "sports100")
MEGAPIXELS = {12: (3000, 4000), 48: (6000, 8000)}  # height, width
SUBSAMPLINGS = ("4:4:4", "4:2:0")
SIDES = (64, 150, 224, 384)
WAYS = ("shrunk", "saved again at 92", "saved again at 75")
BOUND = 1.0  # levels of 255, mean
SHORTEST = 1568  # pixels: seven times 224; photos with a shorter side are not shrunk for it
STRIP = 1000  # rows that are made at once
COLOURS = np.array(
    [(255, 0, 0), (0, 255, 255), (0, 0, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255)], np.uint8
)
WORDS = "the quick brown fox jumps over 1,234 lazy dogs; sphinx of black quartz, judge my VOW (No. 56)! "
Pixels = NDArray[np.uint8]


def noise(height: int, width: int) -> Pixels:
    """Every sample by itself, uniform."""
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def text(height: int, width: int) -> Pixels:
    """A page of 75 lines, black, red and blue on white."""
    image = Image.new("RGB", (width, height), "white")
    draw, step = ImageDraw.Draw(image), height // 75
    font = ImageFont.load_default(0.75 * step)
    for line in range(75):
        shift = 7 * line % len(WORDS)
        colour = ("black", "black", "black", "red", "blue")[line % 5]
        draw.text((step, line * step), (WORDS[shift:] + 4 * WORDS), fill=colour, font=font)
    return np.asarray(image)


def edges(height: int, width: int) -> Pixels:
    """Hard edges of all directions: rays and stripes in black and white, rays and squares in full colours."""
    y, x = np.mgrid[: height // 2, : width // 2].astype(np.float32)
    rays = np.floor(np.arctan2(y - height / 4 - 0.5, x - width / 4 - 0.5) * (48 / np.pi)).astype(np.int64)
    # Bands of one period each, from 2 to 64 pixels.
    bands = np.geomspace(2, 64, 40, dtype=np.float32)[(y * 40 / (height / 2)).astype(np.int64)]
    grey = np.array([0, 255], np.uint8)
    stripes = grey[(2 * x / bands).astype(np.int64) % 2]
    drawn = np.random.default_rng(2).integers(0, len(COLOURS), (height, width))
    squares = COLOURS[drawn[(y / bands).astype(np.int64), (x / bands).astype(np.int64)]]
    black_and_white = np.concatenate([grey[rays % 2], stripes], axis=1)[..., None].repeat(3, axis=2)
    return np.concatenate([black_and_white, np.concatenate([COLOURS[rays % 6], squares], axis=1)])


def mixture(height: int, width: int) -> Pixels:
    """As photos are: smooth shades of all sizes, detail of all sizes above them in some places."""
    rng = np.random.default_rng(3)
    smooth = Image.fromarray(octaves(rng, 2, 6, 3)).resize((width, height), Image.Resampling.BICUBIC)
    detail = octaves(rng, 4, 10, 1).astype(np.int16)[..., 0] - 128
    pixels = np.array(smooth)
    for top in range(0, height, STRIP):
        rows = np.arange(top, min(height, top + STRIP))
        grain = np.take(detail[rows % len(detail)], np.arange(width) % len(detail), axis=1)
        strength = pixels[rows, :, :1] / np.float32(255)
        pixels[rows] = np.clip(pixels[rows] + grain[..., None] * strength, 0, 255).astype(np.uint8)
    return pixels


def octaves(rng: np.random.Generator, first: int, last: int, channels: int) -> Pixels:
    """Noise of 2**first … 2**last cells a side, the finer the weaker; uint8 (2**last, 2**last, channels)."""
    side, total = 2**last, np.zeros((2**last, 2**last, channels))
    for octave in range(first, last + 1):
        cells = rng.normal(size=(2**octave, 2**octave, channels)).astype(np.float32)
        for channel in range(channels):
            layer = Image.fromarray(cells[..., channel]).resize((side, side), Image.Resampling.BICUBIC)
            total[..., channel] += np.asarray(layer) / 2 ** (octave - first)
    return np.clip(128 + 60 * total, 0, 255).astype(np.uint8)


KINDS: dict[str, Callable[[int, int], Pixels]] = {
    "noise": noise,
    "text": text,
    "edges": edges,
    "mixture": mixture,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG and what it shows; before: its pixels before they were saved, where they are known."""

    kind: str
    megapixels: int
    subsampling: str
    data: bytes
    before: Pixels | None = None


def jpeg(pixels: Pixels, quality: int, subsampling: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def pictures(shared: Path) -> Iterator[Picture]:
    """One after the other: together they would need gigabytes."""
    for megapixels, (height, width) in MEGAPIXELS.items():
        for kind, make in KINDS.items():
            pixels = make(height, width)
            for subsampling in SUBSAMPLINGS:
                yield Picture(kind, megapixels, subsampling, jpeg(pixels, 90, subsampling), pixels)
    for path in camera_photos(shared):
        yield Picture(path.stem, 12, "4:2:0", path.read_bytes())


def camera_photos(shared: Path) -> list[Path]:
    return sorted((shared / "camera-photos").glob("*.jpg"))


def squash(side: int) -> PreprocessSpec:
    return PreprocessSpec(size=(side, side))


def compare(picture: Picture, repeats: int) -> list[dict[str, Any]]:
    """A row for each size: what differs, and milliseconds of either way."""
    rounds = [once(picture) for _ in range(repeats)]
    width = Image.open(io.BytesIO(picture.data)).width
    rows = []
    for column, side in enumerate(SIDES):
        times = [each[column] for each in rounds]
        rows.append(
            {
                "kind": picture.kind,
                "megapixels": picture.megapixels,
                "subsampling": picture.subsampling,
                "size": side,
                "shrunk_by": round(width / shrunk_size(picture.data, (side, side))[0]),
                **times[0].differences,
                "ms_shrunk": 1000 * statistics.median(each.shrunk for each in times),
                "ms_full": 1000 * statistics.median(each.full for each in times),
                "faster": statistics.median(each.full / each.shrunk for each in times),
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class Both:
    """What differs between the two ways, and the seconds of each."""

    differences: dict[str, Any]
    shrunk: float
    full: float


def once(picture: Picture) -> list[Both]:
    """Both ways for all sizes; the full decode is shared, its time is not."""
    data, before = picture.data, picture.before
    start = time.perf_counter()
    whole = decode(data)
    decoding = time.perf_counter() - start
    found = []
    for side in SIDES:
        start = time.perf_counter()
        full = resize(whole, squash(side))
        middle = time.perf_counter()
        shrunk = prepare(data, squash(side))
        end = time.perf_counter()
        off = (
            {"off_shrunk": "", "off_full": ""}
            if before is None
            else off_by(resize(before, squash(side)), shrunk, full)
        )
        found.append(Both(difference(shrunk, full) | off, end - middle, decoding + middle - start))
    return found


def difference(first: Pixels, second: Pixels) -> dict[str, float]:
    """Of all samples: the mean of the absolute differences, the size that 99.9 % stay within, the largest."""
    apart = np.abs(first.astype(np.int16) - second)
    p999 = float(np.quantile(apart, 0.999, method="higher"))
    return {"mean": float(apart.mean()), "p99.9": p999, "most": int(apart.max())}


def off_by(truth: Pixels, shrunk: Pixels, full: Pixels) -> dict[str, float]:
    return {"off_shrunk": difference(shrunk, truth)["mean"], "off_full": difference(full, truth)["mean"]}


def enlarged(shared: Path, count: int) -> Iterator[bytes]:
    """Shared photos by three, or by as much more as it takes that they will be shrunk."""
    paths = sorted(path for name in SETS for path in (shared / name).rglob("*") if path.is_file())
    chosen = np.random.default_rng(4).choice(len(paths), min(count, len(paths)), replace=False)
    for row in sorted(chosen):
        image = Image.fromarray(decode(paths[row].read_bytes()))
        factor = max(3.0, SHORTEST / min(image.size))
        size = (round(image.width * factor), round(image.height * factor))
        yield jpeg(np.asarray(image.resize(size, Image.Resampling.LANCZOS)), 92, "4:2:0")


def pieces(shared: Path, count: int) -> Iterator[bytes]:
    """Random squares of 1,568 to 2,900 pixels out of the camera photos: detail as cameras see it."""
    rng = np.random.default_rng(5)
    photos = [decode(path.read_bytes()) for path in camera_photos(shared)]
    for number in range(count if photos else 0):
        photo = photos[number % len(photos)]
        side = int(rng.integers(SHORTEST, 2900))
        top, left = (int(rng.integers(0, edge - side)) for edge in photo.shape[:2])
        yield jpeg(np.ascontiguousarray(photo[top : top + side, left : left + side]), 92, "4:2:0")


def views(data: bytes) -> Pixels:
    """The photo from its full decode, then as `WAYS` has it; uint8 (4, 224, 224, 3)."""
    whole, spec = decode(data), squash(224)
    assert measure(data) != shrunk_size(data, spec.size)
    saved = [decode(jpeg(whole, quality, "4:2:0")) for quality in (92, 75)]
    return np.stack([resize(whole, spec), prepare(data, spec), *(resize(again, spec) for again in saved)])


def classifier(weights: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    """uint8 (N, 224, 224, 3) → probabilities float32 (N, 1000)."""
    import timm
    import torch

    torch.set_num_threads(2)
    model = timm.create_model("mobilenetv2_100", pad_type="same")
    model.load_state_dict(torch.load(weights, weights_only=True))
    model = model.eval().to(memory_format=torch.channels_last)

    def probabilities(photos: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(photos).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            found: NDArray[np.float32] = model(batch).softmax(1).numpy()
        return found

    return probabilities


def count_changes(
    photos: Iterator[bytes], predict: Callable[[Pixels], NDArray[np.float32]]
) -> list[dict[str, Any]]:
    """How often the likeliest class changes, and how likely it was at most where it did."""
    found, apart = [], []
    with ThreadPoolExecutor(2) as pool:
        while some := list(islice(photos, 16)):
            batch = np.stack(list(pool.map(views, some)))
            found.append(predict(batch.reshape(-1, 224, 224, 3)).reshape(*batch.shape[:2], -1))
            apart += [[difference(each[0], other)["mean"] for other in each[1:]] for each in batch]
    if not found:
        return []
    guesses, means = np.concatenate(found), np.mean(apart, axis=0)
    top = guesses.argmax(axis=2)
    rows = []
    for way, name in enumerate(WAYS, start=1):
        changed = top[:, way] != top[:, 0]
        row = {"photos": len(top), "compared": name, "changed": int(changed.sum())}
        surest = float(guesses[changed, 0].max(initial=0.0))
        rows.append(row | {"surest_changed": surest, "mean": float(means[way - 1])})
    return rows


def tell(row: dict[str, Any]) -> None:
    print(
        f"{row['kind']:8} {row['megapixels']:2} Mpx {row['subsampling']}"
        f"  {row['size']:3} px  1/{row['shrunk_by']}"
        f"  mean {row['mean']:5.2f}  p99.9 {row['p99.9']:3.0f}  most {row['most']:3}"
        f"  {row['ms_shrunk']:5.0f} ms, full {row['ms_full']:5.0f} ms: {row['faster']:4.1f} times faster"
        + ("  ABOVE" if row["mean"] > BOUND else ""),
        flush=True,
    )


def measure_pixels(shared: Path, repeats: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for picture in pictures(shared):
        found = compare(picture, repeats)
        for row in found:
            tell(row)
        rows += found
    above = [row for row in rows if row["mean"] > BOUND]
    print(f"{len(above)} of {len(rows)} above a mean of {BOUND:g}/255")
    return rows


def measure_answers(shared: Path, weights: Path, count: int) -> list[dict[str, Any]]:
    predict = classifier(weights)
    rows = []
    for name, photos in (("enlarged", enlarged(shared, count)), ("pieces", pieces(shared, count // 4))):
        for row in count_changes(photos, predict):
            print(
                f"{name:8} {row['compared']:18} {row['changed']:3} of {row['photos']} change their class,"
                f" at most {row['surest_changed']:.2f} sure before; mean {row['mean']:.2f}",
                flush=True,
            )
            rows.append({"set": name, **row})
    return rows


def save(results: Path, name: str, packages: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    stamp = {"session": common.session()}
    if rows:
        common.append_rows(results / common.results_file(name, packages).name, [stamp | row for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    shared = Path(os.environ.get("SORTOGRAPH_SHARED", SHARED))
    parser.add_argument("--shared", type=Path, default=shared, help="the shared photo sets")
    parser.add_argument(
        "--weights", type=Path, help="timm's mobilenetv2_100 with 1,000 classes; also counts answers"
    )
    parser.add_argument(
        "--photos", type=int, default=1000, help="how many answers are counted (default: 1000)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="rounds of timing; 0: no pixels (default: 3)")
    parser.add_argument("--results", type=Path, default=common.RESULTS, help="where the CSVs go")
    options = parser.parse_args()
    if options.repeats:
        save(options.results, "shrink", ["pillow"], measure_pixels(options.shared, options.repeats))
    if options.weights and options.weights.is_file():
        rows = measure_answers(options.shared, options.weights, options.photos)
        save(options.results, "shrink-answers", ["pillow", "torch"], rows)


if __name__ == "__main__":
    main()
