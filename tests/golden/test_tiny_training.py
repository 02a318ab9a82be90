"""What decides about a training, on every machine the same to the byte: its photos, their order, its draws.

The files beside this one were written by the test itself; where a change is meant, the message of the failed
test names the new file to copy here. They hold no weights: those differ between processors.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import sortograph
from sortograph.loading.order import dropout_seed
from sortograph.loading.pixels import PhotoPixels

HERE = Path(__file__).parent
COUNTS = {"cat": 9, "dog": 7, "owl": 4}
SETTINGS = (
    "split.seed=7",
    "pixels.size=8",
    "model.filters=[2]",
    "model.dense=[]",
    "train.batch_size=4",
    "train.epochs=2",
    "augment.zoom=0",
)


def bitmap(number: int, side: int = 8) -> bytes:
    """An uncompressed BMP file of made-up colours: no encoder, whose next version might write other bytes."""
    pixels = bytes((number * 31 + place * (7 + number)) % 256 for place in range(3 * side * side))
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    return (
        head + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels
    )


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A run with seed 3, and the paths of each training batch as it was asked for."""
    for k, (name, count) in enumerate(COUNTS.items()):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(1, count + 1):
            content = bitmap(10 * k + max(n, 2))  # 1 is a copy of 2: photos of one content stay together
            (tmp_path / "photos" / name / f"{name} ({n}).bmp").write_bytes(content)
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sortograph.api.reviewing.draw_report", lambda *_: None)
    batches, read = [], PhotoPixels.training

    def noted(self, index, rows):
        batches.append([index.paths[row] for row in rows])
        return read(self, index, rows)

    monkeypatch.setattr(PhotoPixels, "training", noted)
    run = sortograph.train(
        tmp_path / "photos", recipe="weather", overrides=SETTINGS, seed=3, out=tmp_path / "run"
    )
    return run, batches


def same(file: Path) -> None:
    expected = (HERE / file.name).read_bytes().replace(b"\r\n", b"\n")
    assert file.read_bytes() == expected, f"{file} is not {HERE / file.name}"


def test_the_index_with_its_splits(trained):
    run, _ = trained
    same(run.folder / "index.csv")


def test_the_order_of_the_photos_and_the_seeds_of_dropout(trained, tmp_path):
    run, batches = trained
    steps = len(batches) // 2
    lines = ["epoch,step,seed of dropout,photos"]
    for number, paths in enumerate(batches):
        epoch, step = 1 + number // steps, number % steps
        lines.append(f"{epoch},{step},{dropout_seed(run.seed, epoch, step)},{' | '.join(paths)}")
    (tmp_path / "order.csv").write_bytes(("\n".join(lines) + "\n").encode())
    same(tmp_path / "order.csv")
