from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sortograph.reporting import typeface


def drawn(text: str, size: int = 30) -> np.ndarray:
    image = Image.new("L", (400, 60), 0)
    typeface.draw(ImageDraw.Draw(image), (5, 45), text, size, "white")
    return np.asarray(image)


@pytest.fixture
def without_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeface, "system_faces", lambda: ())
    typeface._face_of.cache_clear()
    yield
    typeface._face_of.cache_clear()


def missing() -> np.ndarray:
    font = ImageFont.truetype(typeface.shipped().path, 30, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (400, 60), 0)
    ImageDraw.Draw(image).text((5, 45), "\U0010fffd", font=font, fill="white", anchor="ls")
    return np.asarray(image)


@pytest.mark.usefixtures("without_system_fonts")
@pytest.mark.parametrize("char", "음식실내외가힝✓✗×–…→αЖéか")
def test_the_shipped_typeface_draws_real_glyphs(char: str) -> None:
    pixels = drawn(char)
    assert pixels.max() > 200
    assert not np.array_equal(pixels, missing())


@pytest.mark.usefixtures("without_system_fonts")
def test_a_character_that_no_font_has_becomes_a_box() -> None:
    assert np.array_equal(drawn("\U0001f600"), missing())


def test_all_syllables_of_ks_x_1001_are_shipped() -> None:
    syllables = [chr(code) for code in range(0xAC00, 0xD7A4) if is_ks_x_1001(chr(code))]
    assert len(syllables) == 2350
    assert all(typeface._has(typeface.shipped(), syllable) for syllable in syllables[::7])


def is_ks_x_1001(char: str) -> bool:
    try:
        return len(char.encode("euc_kr")) == 2
    except UnicodeEncodeError:
        return False


def test_the_shipped_font_is_small_renamed_and_licensed() -> None:
    path = typeface.shipped().path
    assert path.stat().st_size < 900_000
    assert ImageFont.truetype(path, 12).getname() == (typeface.FAMILY, "Regular")
    assert b"Noto" not in path.read_bytes()
    licence = (path.parent / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in licence
    assert "Adobe" in licence


def test_composed_and_decomposed_korean_look_alike() -> None:
    decomposed = "\u110b\u1173\u11b7\u1109\u1175\u11a8"
    assert np.array_equal(drawn("음식"), drawn(decomposed))


@pytest.mark.parametrize(
    "text", ["", "\n\t\0", "\udcff", "\u202eabc\u200f", "🙂👩‍👩‍👧", "ก็", "العربية", "漢字" * 400, "$\\frac{$"]
)
def test_no_text_raises(text: str) -> None:
    drawn(text)
    assert typeface.width(typeface.shorten(text, 60, 12), 12) <= 60
    assert len(typeface.plot_text(text)) <= 28


def test_what_fits_is_not_shortened() -> None:
    room = typeface.width("음식 97 %", 12)
    assert typeface.shorten("음식 97 %", room, 12) == "음식 97 %"
    assert typeface.shorten("음식 97 %", room - 1, 12).endswith("…")


def test_system_fonts_fill_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Any font file under a name that is looked for: here the shipped one stands in for the system's.
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "MALGUN.TTF").write_bytes(typeface.shipped().path.read_bytes())
    (tmp_path / "DejaVuSans.ttf").write_bytes(b"no font")
    monkeypatch.setattr(typeface, "_folders", lambda: [tmp_path, tmp_path / "absent"])
    assert typeface.system_faces.__wrapped__() == (typeface.Face(tmp_path / "deep" / "MALGUN.TTF"),)


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_every_system_has_font_folders(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(typeface.sys, "platform", platform)
    assert any("onts" in folder.as_posix() for folder in typeface._folders())
