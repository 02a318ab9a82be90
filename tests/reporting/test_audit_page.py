from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import MissingExtra, StorageError
from sortograph.records import AuditResult, DatasetIndex, Finding, Rejected
from sortograph.reporting import audit_cards
from sortograph.reporting.audit_page import AuditPage, jpeg_thumbnail, render_audit, write_audit_page

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe\u200f",
    "</style></title></ul>",
    "\udcff\udcfe bytes",
    "=1+1",
)
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Tags with their attributes, and the text; every tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in {"dt", "dd", "td", "th"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def classes(self, tag: str) -> list[str]:
        return [attrs.get("class") or "" for attrs in self.all(tag)]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


JPEG = jpeg_thumbnail(np.full((30, 40, 3), 90, dtype=np.uint8))


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("P", (4, 4)).save(buffer, "GIF")
    return buffer.getvalue()


def same(paths: Sequence[str]) -> dict[str, bytes]:
    return dict.fromkeys(paths, JPEG)


def page_of(index: DatasetIndex, *findings: Finding, **changes: Any) -> Page:
    result = AuditResult(findings, changes.pop("ran", ("near-duplicates",)), changes.pop("skipped", {}))
    return Page(render_audit(AuditPage(result, index, changes.pop("thumbnails", same), "photos", **changes)))


def finding(*photos: str, check: str = "near-duplicates", severity: float = 0.5, **changes: Any) -> Finding:
    return Finding(
        check, photos, severity, changes.pop("message", "They look alike."), "Keep one.", **changes
    )


@pytest.fixture
def index(world: Any) -> DatasetIndex:
    return world.index


@pytest.mark.parametrize(
    ("severities", "words"),
    [
        ((0.9, 0.7, 0.5, 0.1), "2 grave findings Settle what is grave before you train."),
        ((0.69, 0.4, 0.1), "2 findings to look at Nothing is grave."),
        ((0.39,), "Nothing to mend 1 thing good to know."),
        ((), "All clear 2 checks ran and found nothing."),
    ],
)
def test_the_first_screen_says_how_grave_it_is(
    index: DatasetIndex, severities: tuple[float, ...], words: str
) -> None:
    found = [finding(severity=severity) for severity in severities]
    page = page_of(index, *found, ran=("near-duplicates", "leakage"), command="sortograph train photos")
    assert words in page.words
    assert "sortograph train photos" in page.words
    for figure in (
        "photos 420",
        "classes 3",
        "unreadable 1",
        "splits train 210 · validation 105 · test 105",
    ):
        assert figure in page.words, figure


def test_where_no_check_ran_nothing_is_claimed(index: DatasetIndex) -> None:
    words = page_of(index, ran=(), skipped={"label-errors": "no backbone is at hand"}).words
    assert "Nothing was checked 1 check could not be run." in words
    assert "All clear" not in words


def test_photos_without_a_class_and_uncut_ones_are_told(index: DatasetIndex) -> None:
    labels = index.labels.copy()
    labels[:7] = -1
    words = page_of(replace(index, labels=labels, splits=("",) * len(index))).words
    assert "without a class 7 splits not cut yet" in words


def test_photos_of_a_finding_stand_side_by_side_with_their_facts(index: DatasetIndex) -> None:
    first, second = "음식/0000.jpg", "실내/0007.jpg"
    page = page_of(index, finding(first, second, set_aside=(second,)))
    assert [image["alt"] for image in page.all("img")] == [
        f"Photo 1 of 2: {first}",
        f"Photo 2 of 2: {second}",
    ]
    assert page.classes("ol") == ["tiles"]
    assert f"{first} class 음식 split train size 64 × 64" in page.words
    assert f"{second} class 실내 split validation size 64 × 64 would be set aside" in page.words
    assert page.text.count("would be set aside") == 1
    assert page.classes("span").count("fact differs") == 4  # class and split, of both


def test_what_all_photos_share_is_not_pointed_at(index: DatasetIndex) -> None:
    page = page_of(index, finding("음식/0000.jpg", "음식/0003.jpg"))
    assert "fact differs" not in page.classes("span")
    assert page.classes("span").count("fact") == 6


def test_thumbnails_decode(index: DatasetIndex) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 20)).save(buffer, "PNG")
    pictures = {"음식/0000.jpg": JPEG, "음식/0003.jpg": buffer.getvalue()}
    page = page_of(index, finding(*pictures), thumbnails=lambda paths: pictures)
    kinds = []
    for image in page.all("img"):
        head, _, data = (image["src"] or "").partition(";base64,")
        size = Image.open(io.BytesIO(base64.b64decode(data))).size
        kinds.append((head, size, (image["width"], image["height"])))
    assert kinds == [
        ("data:image/jpeg", (40, 30), ("40", "30")),
        ("data:image/png", (50, 20), ("50", "20")),
    ]


@pytest.mark.parametrize("data", [b"", b"<svg onload='alert(1)'/>", gif(), b"\xff\xd8\xff"])
def test_what_is_no_picture_is_not_shown_as_one(index: DatasetIndex, data: bytes) -> None:
    page = page_of(index, finding("음식/0000.jpg"), thumbnails=lambda paths: dict.fromkeys(paths, data))
    assert page.all("img") == []
    assert "no picture of it could be made 음식/0000.jpg" in page.words


def test_photos_that_are_missing_from_the_thumbnails_are_named(index: DatasetIndex) -> None:
    page = page_of(
        index, finding("음식/0000.jpg", "음식/0003.jpg"), thumbnails=lambda paths: {paths[1]: JPEG}
    )
    assert [image["alt"] for image in page.all("img")] == ["Photo 2 of 2: 음식/0003.jpg"]
    assert "음식/0000.jpg class 음식" in page.words


def test_unreadable_files_are_named_with_their_reason(index: DatasetIndex) -> None:
    asked: list[str] = []
    broken = index.rejected[0].path
    page = page_of(index, finding(broken, check="unreadable"), thumbnails=lambda paths: asked.extend(paths))
    assert asked == []
    assert f"{broken} – damaged (image file is truncated)" in page.words
    assert page.all("img") == []


def test_the_gravest_check_and_finding_come_first(index: DatasetIndex) -> None:
    page = page_of(
        index,
        finding(check="tiny-photos", severity=0.2, message="third"),
        finding(check="leakage", severity=0.8, message="second"),
        finding(check="leakage", severity=0.9, message="first"),
        finding(check="tiny-photos", severity=0.1, message="fourth"),
    )
    told = re.findall("first|second|third|fourth", page.text)
    assert told == ["first", "second", "third", "fourth"]
    assert page.words.index("Leakage 2 grave · overview") < page.words.index("Tiny photos 2 good to know")


def test_a_remedy_that_fits_all_is_told_once(index: DatasetIndex) -> None:
    assert page_of(index, finding(), finding(), finding()).text.count("Keep one.") == 1
    other = replace(finding(), remedy="Look.")
    page = page_of(index, finding(), finding(), other)
    assert page.text.count("Keep one.") == 2
    assert page.text.count("Look.") == 1


def test_checks_without_findings_are_told_apart(index: DatasetIndex) -> None:
    words = page_of(
        index,
        finding(),
        ran=("near-duplicates", "dark-photos", "tiny-photos"),
        skipped={"label-errors": "no backbone is at hand: sortograph weights add NAME"},
    ).words
    assert "Ran and found nothing Dark photos, Tiny photos Not run" in words
    assert "Label errors no backbone is at hand: sortograph weights add NAME" in words


def test_of_a_large_finding_twelve_are_shown_and_the_others_named(index: DatasetIndex) -> None:
    page = page_of(index, finding(*index.paths[:100]))
    assert len(page.all("img")) == audit_cards.TILES_EACH == 12
    assert len(page.all("details")) == 1
    assert "and 88 more" in page.words
    assert all(page.text.count(path) == 1 for path in index.paths[:100])


def test_no_check_takes_all_the_room(index: DatasetIndex) -> None:
    many = [finding(path, check="label-errors", severity=0.8) for path in index.paths]
    last = finding(*index.paths[:20], check="blurred-photos", severity=0.1)
    asked: list[list[str]] = []

    def thumbnails(paths: Sequence[str]) -> dict[str, bytes]:
        asked.append(list(paths))
        return same(paths)

    page = page_of(index, *many, last, thumbnails=thumbnails)
    assert len(page.all("img")) == audit_cards.TILES == 400
    assert len(asked) == 1
    assert len(asked[0]) == len(set(asked[0]))
    blurred = page.words[page.words.index("Blurred photos 1 good to know") :]
    assert blurred.count("class ") >= 12
    shown, listed = 400 - 12, 420 - 400 + 12
    assert page.classes("article").count("finding grave") == shown
    assert page.classes("li").count("finding grave") == listed
    assert f"and {listed} more findings, without pictures" in page.words


def test_the_page_of_a_huge_folder_stays_small(index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_cards, "LETTERS", 2_000)
    monkeypatch.setattr(audit_cards, "PICTURE_BYTES", 20 * len(JPEG))
    pairs = [finding(*pair) for pair in zip(index.paths[:-1], index.paths[1:], strict=True)]
    page = page_of(index, *pairs, finding(*index.paths, check="blurred-photos", severity=0.1))
    assert len(page.all("img")) == 20
    assert page.text.count("left out to keep this page small") == audit_cards.TILES - 20
    listed = page.classes("li").count("finding look")
    left = int(re.search(r"and (\d+) more, which sortograph audit --json lists", page.words)[1])
    shown = page.classes("article").count("finding look")
    assert shown + listed + left == len(pairs)
    assert left > 0
    # Photos that there is no room to name are counted: nothing is passed over in silence.
    blurred = page.words[page.words.index("and 408 more") :]
    unlisted = int(re.search(r"… and (\d+) more", blurred)[1])
    assert unlisted + len(set(re.findall(r"\S+/\d{4}.jpg", blurred.partition("…")[0]))) == 408


def test_the_bounds_keep_a_page_below_15_megabytes() -> None:
    assert audit_cards.PICTURE_BYTES * 4 / 3 + audit_cards.LETTERS * 5 < 15_000_000


def test_hostile_names_are_text(make: Any) -> None:
    index = make(classes=HOSTILE, n=140).index
    index = replace(index, rejected=(Rejected(HOSTILE[0], HOSTILE[1]),), notes=(HOSTILE[4],))
    found = [
        finding(*index.paths[:40], message=HOSTILE[1]),
        finding(HOSTILE[0], check=HOSTILE[0]),
        replace(finding(*index.paths[:2], message=HOSTILE[4]), remedy=HOSTILE[0]),
    ]
    page = page_of(
        index,
        *found,
        ran=(HOSTILE[4],),
        skipped={HOSTILE[2]: HOSTILE[0]},
        command=f'sortograph "{HOSTILE[1]}',
    )
    assert not page.all("script")
    assert len(page.all("img")) == 14
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert len(page.all("style")) == 1
    assert "{{ 7 * 7 }}" in page.text
    assert page.text.count(HOSTILE[0]) > 5


def test_names_that_turn_text_around_are_isolated(make: Any) -> None:
    index = make(classes=HOSTILE, n=140).index
    text = render_audit(AuditPage(AuditResult((finding(*index.paths[:40]),), ()), index, same, "photos"))
    outside = re.sub(r"<bdi[^>]*>[^<]*</bdi>|alt=\"[^\"]*\"", "", text)
    assert "\u202e" in text
    assert "\u202e" not in outside


def test_nothing_runs_and_nothing_is_loaded(index: DatasetIndex) -> None:
    page = page_of(index, finding(*index.paths[:3]))
    policy = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert {"script", "link", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in page.tags)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.all("img"))
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {(link["href"] or "").removeprefix("#") for link in page.all("a")} <= ids


def test_headings_labels_and_pictures_serve_a_screen_reader(index: DatasetIndex) -> None:
    page = page_of(
        index, finding(*index.paths[:30]), finding(check="leakage", severity=0.8), skipped={"a": "b"}
    )
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for attrs in page.all("section")} <= set(ids)
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("summary")) == len(page.all("details"))
    assert len(page.all("input")) == len(page.all("label")) == 3


def test_the_folder_above_the_photos_is_not_named(index: DatasetIndex, tmp_path: Any) -> None:
    text = render_audit(AuditPage(AuditResult((finding(*index.paths[:3]),), ()), index, same, "photos"))
    assert tmp_path.name not in text


def test_the_page_is_written(index: DatasetIndex, tmp_path: Any) -> None:
    view = AuditPage(AuditResult((finding(*index.paths[:3]),), ()), index, same, "photos")
    file = tmp_path / "new" / "audit.html"
    assert write_audit_page(view, file) == file
    assert file.read_text(encoding="utf-8") == render_audit(view)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError):
        write_audit_page(view, tmp_path / "taken" / "audit.html")


def test_without_jinja2_the_extra_is_named(index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"sortograph\[train\]"):
        page_of(index)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((480, 320), (107, 160)),
        ((20, 30), (30, 20)),
        ((1, 5000), (160, 1)),
        ((5000, 1), (1, 160)),
        ((1, 1), (1, 1)),
    ],
)
def test_thumbnails_keep_their_aspect_and_never_grow(shape: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), (200, 40, 90), dtype=np.uint8)
    with Image.open(io.BytesIO(jpeg_thumbnail(pixels))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
        assert np.abs(np.asarray(image).astype(int) - (200, 40, 90)).max() <= 4
