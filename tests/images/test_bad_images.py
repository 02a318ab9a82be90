"""Over a thousand photos that were made, damaged or fuzzed to break decoders."""

from __future__ import annotations

import csv
import io
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sortograph.errors import PhotoError
from sortograph.images.decode import decode, measure

SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared/data"))
ARCHIVE = SHARED / "bad-images.tar.gz"

# Decoded when the list was made, and refused now: sound pixels with a broken end of the file.
BROKEN_ENDS = {"chunk_no_fctl.png", "broken_data_stream.png", "truncated_end_chunk.png"}


def members() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="the shared photo sets are not here")
def test_every_file_gives_a_picture_or_a_reason_in_time() -> None:
    files = members()
    (listed,) = [name for name in files if name.endswith("manifest.csv")]
    folder = listed.removesuffix("manifest.csv")
    decoded = 0
    for row in csv.DictReader(io.StringIO(files[listed].decode())):
        data, start = files[folder + row["file"]], time.monotonic()
        outcome = picture_or_reason(data)
        assert time.monotonic() - start < 2, row["original"]
        if isinstance(outcome, str):
            assert outcome
            assert row["guarded_result"] != "ok" or Path(row["original"]).name in BROKEN_ENDS, row["original"]
        else:
            decoded += 1
            assert outcome.dtype == np.uint8
            assert measure(data) == (outcome.shape[1], outcome.shape[0])
            assert row["guarded_result"] == "ok" or row["format"] == "AVIF", row["original"]
    assert decoded >= 540


def picture_or_reason(data: bytes) -> NDArray[np.uint8] | str:
    try:
        return decode(data)
    except PhotoError as error:
        return error.what
