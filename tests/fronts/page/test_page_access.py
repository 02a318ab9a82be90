"""Whether everybody can use the page: keyboard, screen reader, languages, colours, sizes of screens."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import get_args

import pytest

from devtools import MISSING, Tab
from page_tools import COLOURS, add, choose, focus, forgive, ready, words
from sortograph.errors import PHOTO_CODES
from sortograph.serve import assets
from sortograph.serve.reasons import ErrorCode

AXE = importlib.util.find_spec("axe_core_python")

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def test_the_language_is_the_browser_s_and_can_be_changed(browser, site, photos):
    tab = browser.tab()
    tab.speak("ko-KR,ko")
    tab.open(site.address)
    ready(tab)
    assert tab.text("h1") == words("ko")["welcome.drop"]
    assert tab.run("document.documentElement.lang") == "ko"
    add(tab, [photos / "grey.png"])
    assert words("ko")["why.unsure"] in tab.text(".card")
    assert "could be" not in tab.text(".card")
    choose(tab, "#language", "en")
    tab.wait("document.documentElement.lang === 'en'")
    assert "Unsure · could be" in tab.text(".card")
    assert tab.text("#count") == "1 photo"
    tab.open(site.address + "?again")
    ready(tab)
    assert tab.text("h1") == "Drop photos here"
    assert tab.run("Object.keys(localStorage)") == ["sortograph-language"]
    assert tab.run("document.cookie") == ""
    assert tab.complaints == []
    tab.close()


def test_reasons_of_the_server_are_said_in_the_page_s_language(tab, visit, site):
    visit(site)
    """By their codes: the sentences may be any."""
    top = [{"label": name, "probability": 0.3} for name in ("a", "b or c", "d", "e")]
    promise = {"least": 0.91, "error": 0.02, "photos": 150}
    known = [
        ("several-classes", {"classes": 2}, top, "could be a or b or c"),
        ("several-classes", {"classes": 10}, top, "could be a, b or c, d, or 7 more"),
        ("several-classes", {"classes": 12}, top[:1], "could be any of 12 classes"),
        ("no-class", {}, top, "no class is likely enough"),
        ("low-confidence", promise, top,
            "not above 0.91, as it must be for at most 2% wrong (by 150 photos)"),
        ("low-confidence", {**promise, "photos": None}, top, "the server's sentence"),
        ("something-new", {}, top, "the server's sentence"),
    ]  # fmt: skip
    names = ("unsure_code", "unsure_details", "top_k")
    rows = [dict(zip(names, given, strict=True)) for *given, _ in known]
    asked = json.dumps([{**row, "unsure": "the server's sentence"} for row in rows])
    call = f"import('/page/cards.js').then(({{reason}}) => {asked}.map(reason))"
    english = [text for *_, text in known]
    assert tab.run(call) == english
    tab.run("import('/page/words.js').then(({choose}) => choose('ko'))")
    korean = tab.run(call)
    assert korean[-2:] == english[-2:]
    assert not set(korean[:-2]) & set(english)


def test_why_a_photo_cannot_be_read_is_said_in_the_page_s_language(browser, site, photos, tmp_path):
    whole = (photos / "red.png").read_bytes()
    made = {
        "a.jpg": (b"no photo", "not-an-image"),
        "b.png": (whole[:60], "truncated"),
        "c.png": (b"", "empty"),
    }
    for name, (data, _) in made.items():
        (tmp_path / name).write_bytes(data)
    tab = browser.tab()
    tab.speak("ko-KR,ko")
    tab.open(site.address)
    ready(tab)
    add(tab, [tmp_path / name for name in made])
    korean, english = words("ko"), words("en")
    assert tab.texts(".card .reason") == [korean[f"unreadable.{code}"] for _, code in made.values()]
    details = tab.run("[...document.querySelectorAll('.card .reason span')].map(e => e.title)")
    assert details[0].startswith("not a photo that can be read")
    choose(tab, "#language", "en")
    tab.wait("document.documentElement.lang === 'en'")
    assert tab.texts(".card .reason") == [english[f"unreadable.{code}"] for _, code in made.values()]
    said = {"status": 422, "code": "photo", "detail": "damaged (odd)", "expected": "a photo", "fix": ""}
    call = "import('/page/cards.js').then(({words}) => words(%s))"
    assert tab.run(call % json.dumps({**said, "reason": "damaged"})) == english["unreadable.damaged"]
    assert tab.run(call % json.dumps({**said, "reason": "new"})) == "damaged (odd) · expected: a photo"
    forgive(tab, 1)
    assert tab.complaints == []
    tab.close()


def test_the_page_has_words_for_every_code():
    asked = {*PHOTO_CODES, *(code for each in get_args(ErrorCode) for code in get_args(each))}
    assert {key.removeprefix("unreadable.") for key in words("en") if key.startswith("unreadable.")} == asked


def test_every_file_of_the_page_is_served_and_every_module_is_named():
    files = {file.name for file in Path(assets.__file__).with_name("page").iterdir() if file.is_file()}
    assert files == set(assets.PAGE)
    page = assets.read("page", assets.PAGE)
    modules = {name for name in files if name.endswith(".js")}
    assert {name for name in modules if f'="page/{name}"' in page["index.html"].data.decode()} == modules


def test_both_languages_say_all():
    english, korean = words("en"), words("ko")
    assert {key for key in english if not key.endswith(".one")} == set(korean)
    places = {
        key: sorted(part.split("}")[0] for part in text.split("{")[1:]) for key, text in english.items()
    }
    for key, text in korean.items():
        assert sorted(part.split("}")[0] for part in text.split("{")[1:]) == places[key], key
    asked = json.dumps([*english]) + json.dumps([*korean])
    assert "undefined" not in asked


def test_the_keyboard_reaches_everything(visit, site, photos):
    tab = visit(site)
    reached = stops(tab, 9)
    assert reached[0] == "A:Skip to the content"
    assert [name.split(":", 1)[1] for name in reached[2:]] == [
        "About the model", "English\n한국어", "Colours: as the system", "Keyboard shortcuts",
        "Choose photos", "Choose a folder", "Use the camera",
    ]  # fmt: skip
    add(tab, [photos / name for name in COLOURS])
    focus(tab, 0)
    tab.press("ArrowRight", "End", "Home", "ArrowDown", "ArrowLeft")
    assert tab.run("document.activeElement === document.querySelectorAll('.card')[0]")
    assert [name.split(":")[0] for name in stops(tab, 4)] == ["BUTTON"] * 4
    assert tab.run("document.activeElement.closest('.card') === document.querySelector('.card')")
    tab.press("Tab")
    assert tab.run("document.activeElement.closest('.card')") is None
    focus(tab, 1)
    tab.press("Enter")
    assert tab.text("#closer-name") == "green.png"
    tab.press("ArrowRight")
    assert tab.text("#closer-name") == "blue.png"
    tab.press("Escape")
    tab.wait("document.activeElement === document.querySelectorAll('.card')[2]")
    tab.press("Delete")
    assert len(tab.texts(".card")) == 2
    assert tab.run("document.activeElement === document.querySelectorAll('.card')[1]")
    tab.press("?", shift=True)
    assert "from photo to photo" in tab.text("#help")


def stops(tab: Tab, count: int) -> list[str]:
    """What Tab comes to, each checked to show that it has the focus."""
    found = []
    for _ in range(count):
        tab.press("Tab")
        name, outline = tab.run(
            "(e => [e.tagName + ':' + (e.getAttribute('aria-label') ?? e.innerText.trim()),"
            "getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        assert outline != "none", name
        found.append(name)
    return found


@pytest.mark.skipif(AXE is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, tab, site, photos, scheme):
    tab.prefer(color_scheme=scheme, reduced_motion="reduce")
    visit(site)
    tab.run(Path(AXE.submodule_search_locations[0], "axe.min.js").read_text("utf-8") + ";0")
    assert faults(tab) == []
    add(tab, [photos / name for name in (*COLOURS, "grey.png", "black.png", "broken.jpg")])
    focus(tab, 1)
    tab.press("1")
    tab.wait("document.querySelector('.given.kept')")
    assert faults(tab) == []
    for keys, dialog in ((("Enter",), "closer"), (("c",), "chooser"), (("?",), "help")):
        focus(tab, 1)
        tab.press(*keys, shift=keys == ("?",))
        assert tab.run(f"document.getElementById('{dialog}').open")
        assert faults(tab) == []
        tab.press("Escape")
    tab.click("#about-button")
    tab.wait("document.querySelector('#about-facts .interval')")
    assert faults(tab) == []


def faults(tab: Tab) -> list[str]:
    found = tab.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}" for each in found]


def test_nothing_sticks_out(visit, tab, site, photos, tmp_path):
    long = tmp_path / f"{'x' * 150}.png"
    long.write_bytes((photos / "red.png").read_bytes())
    root = "document.documentElement"

    def too_wide() -> list[int]:
        found = []
        for width in (390, 768, 1280, 1920):
            tab.size(width, 900, phone=width == 390)
            if tab.run(f"{root}.scrollWidth > {root}.clientWidth"):
                found.append(width)
        return found

    visit(site)
    assert too_wide() == []
    add(tab, [long, photos / "grey.png"])
    assert too_wide() == []
    tab.run("document.querySelector('main').append('x'.repeat(4000))")
    tab.run("document.body.style.overflowWrap = 'normal'")
    assert too_wide() == [390, 768, 1280, 1920]  # this would be seen


def test_light_and_dark(visit, tab, site):
    ground = "getComputedStyle(document.body).backgroundColor"
    visit(site)
    assert tab.run(ground) == "rgb(246, 247, 249)"
    tab.prefer(color_scheme="dark")
    assert tab.run(ground) == "rgb(15, 18, 22)"
    tab.click("#theme")
    assert tab.run(ground) == "rgb(246, 247, 249)"
    tab.click("#theme")
    tab.prefer(color_scheme="light")
    assert tab.run(ground) == "rgb(15, 18, 22)"


def test_reduced_motion(visit, tab, site):
    moving = "getComputedStyle(document.querySelector('.button')).transitionDuration !== '0s'"
    visit(site)
    assert tab.run(moving)
    tab.prefer(reduced_motion="reduce")
    assert not tab.run(moving)
