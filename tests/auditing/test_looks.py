"""Blank, dark, blurred, tiny and stretched photos; odd and unreadable files."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.auditing import AuditView, run_audit
from sortograph.errors import PhotoError
from sortograph.images.decode import decode
from sortograph.images.inspect import inspect
from sortograph.records import Rejected
from sortograph.records.looks import ANIMATED, FORMATS, PROFILE, TRANSPARENT, TURNED

Change = Callable[..., AuditView]


def test_blank_photos_are_neither_dark_nor_blurred(clean: AuditView, change: Change) -> None:
    view = change(clean, looks={name: {7: 0.2} for name in ("contrast", "brightness", "sharpness")})
    assert [finding.check for finding in run_audit(view, quick=True).findings] == ["blank"]


def test_a_class_of_smooth_subjects_is_not_blurred(clean: AuditView, change: Change) -> None:
    skies = {row: 2.0 + row % 7 for row in range(60)}
    view = change(clean, looks={"sharpness": skies})
    assert run_audit(view, only=["blurred"]).findings == ()


def test_the_worst_come_first(clean: AuditView, change: Change) -> None:
    view = change(clean, looks={"brightness": {3: 8.0, 5: 2.0, 9: 5.0}})
    (finding,) = run_audit(view, only=["dark"]).findings
    assert finding.photos == ("cats/05.jpg", "cats/09.jpg", "cats/03.jpg")


@pytest.mark.parametrize("size", [(28, 28), (2000, 40)])
def test_sets_that_are_tiny_or_long_throughout_are_meant_so(size: tuple[int, int], clean: AuditView) -> None:
    sizes = np.tile(np.array(size, dtype=np.int32), (len(clean.index), 1))
    view = replace(clean, index=replace(clean.index, sizes=sizes))
    assert run_audit(view, only=["tiny", "extreme-aspect"]).findings == ()


@pytest.mark.parametrize(
    ("path", "form", "odd"),
    [
        ("cats/a.PNG", "PNG", False),
        ("cats/a.jpeg", "MPO", False),
        ("cats/a.jpg", "PNG", True),
        ("cats/a.png", "JPEG", True),
        ("cats/nameless", "PNG", False),
    ],
)
def test_extensions_of_other_formats(
    path: str, form: str, odd: bool, clean: AuditView, change: Change
) -> None:
    view = change(clean, paths={0: path}, looks={"format": {0: FORMATS.index(form)}})
    found = run_audit(view, only=["odd-files"]).findings
    assert [finding.photos for finding in found] == ([(path,)] if odd else [])


def test_one_finding_for_each_oddity_and_none_for_profiles(clean: AuditView, change: Change) -> None:
    bits = {0: TURNED, 1: TURNED | TRANSPARENT, 2: ANIMATED, 3: PROFILE}
    found = run_audit(change(clean, looks={"oddities": bits}), only=["odd-files"]).findings
    assert {finding.photos for finding in found} == {
        ("cats/00.jpg", "cats/01.jpg"),
        ("cats/01.jpg",),
        ("cats/02.jpg",),
    }


def reason_of(make: Callable[[], object]) -> str:
    with pytest.raises(PhotoError) as caught:
        make()
    return caught.value.what


def test_only_files_that_are_surely_spoilt_are_set_aside(clean: AuditView, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").mkdir()
    whole = io.BytesIO()
    Image.effect_noise((60, 40), 80).save(whole, "JPEG")
    cut_short = whole.getvalue()[: len(whole.getvalue()) // 2]
    reasons = {
        "cats/a.jpg": reason_of(lambda: decode(b"<html>")),
        "cats/b.jpg": reason_of(lambda: decode(cut_short)),
        "cats/c.jpg": reason_of(lambda: decode(b"")),
        "cats/d.jpg": reason_of(lambda: inspect(tmp_path / "missing.jpg")),
        "cats/e.jpg": reason_of(lambda: inspect(tmp_path / "link.jpg")),
        "cats/f.jpg": 'a HEIC photo; to read it: pip install "sortograph[heic]"',
    }
    rejected = tuple(Rejected(path, reason) for path, reason in reasons.items())
    view = replace(clean, index=replace(clean.index, rejected=rejected))
    found = run_audit(view, only=["unreadable"]).findings
    assert {path for finding in found for path in finding.photos} == set(reasons)
    aside = {path for finding in found for path in finding.set_aside}
    assert aside == {"cats/b.jpg", "cats/c.jpg"}


def test_reasons_that_differ_by_numbers_make_one_finding(clean: AuditView) -> None:
    rejected = (
        Rejected("cats/x.jpg", "damaged (bad byte 7)"),
        Rejected("cats/y.jpg", "damaged (no end)"),
        Rejected("cats/z.jpg", "300.5 MB, above the limit of 256 MB"),
        Rejected("dogs/z.jpg", "299 MB, above the limit of 256 MB"),
    )
    view = replace(clean, index=replace(clean.index, rejected=rejected))
    found = run_audit(view, only=["unreadable"]).findings
    assert [finding.photos for finding in found] == [
        ("cats/x.jpg", "cats/y.jpg"),
        ("cats/z.jpg", "dogs/z.jpg"),
    ]
