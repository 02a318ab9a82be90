"""How the page sends photos, and what it says when that fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from devtools import MISSING
from page_tools import (
    CLASSES,
    COLOURS,
    FORMULA,
    HOSTILE,
    MANY,
    add,
    choose,
    colour_model,
    focus,
    forgive,
    ready,
    serving,
    settled,
)

TOKEN = "a-token-of-some-length"

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def test_these_tests_see_faults(browser, site):
    tab = browser.tab()
    tab.open(site.address)
    ready(tab)
    assert tab.complaints == []
    tab.run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\" onclick=\"1\">')")
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)
    tab.open("data:text/html,<img src=http://example.invalid/x.png>")
    assert "http://example.invalid/x.png" in tab.requests
    tab.close()


def test_many_photos_go_in_small_batches_and_can_be_stopped(visit, site, photos):
    tab = visit(site)
    tab.answer("*/v1/predict*")
    tab.pick("#pick-files", [photos / "red.png"] * 50)
    tab.wait("document.querySelectorAll('.card.sent').length")
    assert len(tab.asked(4)) == 4
    assert tab.run("document.querySelectorAll('.card.sent').length") == 32
    assert tab.text("#progress-words") == "0 of 50 answered"
    tab.click("#cancel")
    tab.wait("document.querySelectorAll('.card.stopped').length === 50")
    tab.answer("")
    tab.wait("!document.getElementById('failures').hidden")
    assert tab.text("#failures-words") == "50 photos have no answer yet."
    tab.click("#retry")
    tab.wait("document.querySelectorAll('.card.done').length === 50")


def test_a_busy_server_is_waited_for(visit, site, photos):
    tab = visit(site)
    tab.answer("*/v1/predict*")
    tab.drop([photos / "red.png"])
    tab.wait("document.querySelector('.card.sent')")
    (held,) = tab.asked(1)
    busy = json.dumps({"status": 429, "code": "busy", "detail": "too many", "expected": "", "fix": ""})
    tab.fulfil(held["requestId"], 429, busy, Retry_After="1", Content_Type="application/problem+json")
    assert "the server is busy" in tab.wait(
        "(t => t.includes('busy') && t)(document.getElementById('progress-words').textContent)"
    )
    assert len(tab.asked(1)) == 1
    tab.answer("")
    tab.wait("document.querySelector('.card.done')")
    forgive(tab, 1)


def test_a_batch_that_took_too_long_is_sent_photo_by_photo(visit, site, photos):
    tab = visit(site)
    tab.answer("*/v1/predict*")
    tab.pick("#pick-files", [photos / "red.png"] * 3)
    (held,) = tab.asked(1)
    late = json.dumps({"status": 503, "code": "late", "detail": "too long", "expected": "", "fix": ""})
    tab.fulfil(held["requestId"], 503, late, Retry_After="2", Content_Type="application/problem+json")
    assert len(tab.asked(4)) == 4
    tab.answer("")
    tab.wait("document.querySelectorAll('.card.done').length === 3")
    forgive(tab, 1)


def test_a_failure_is_told_in_the_server_s_words_and_tried_again(visit, site, photos):
    tab = visit(site)
    tab.answer("*/v1/predict*")
    tab.drop([photos / "red.png"])
    tab.wait("document.querySelector('.card.sent')")
    said = {"status": 500, "code": "bug", "detail": "a <b>bug</b>", "expected": "an answer", "fix": "tell us"}
    tab.fulfil(tab.asked(1)[0]["requestId"], 500, json.dumps(said))
    tab.wait("document.querySelector('.card.failed')")
    assert "a <b>bug</b> · expected: an answer · tell us" in tab.text(".card")
    tab.answer("")
    tab.click(".card [data-act=retry]")
    tab.wait("document.querySelector('.card.done')")
    forgive(tab, 1)


def test_what_is_too_large_is_not_sent(visit, plain, tmp_path):
    noise = np.random.default_rng(3).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    tab = visit(plain)
    asked = len(tab.requests)
    tab.drop([tmp_path / "large.png"])
    tab.wait("document.querySelector('.card.failed')")
    assert "larger than this server takes" in tab.text(".card")
    assert tab.run("document.getElementById('failures').hidden")
    assert len(tab.requests) == asked


def test_another_model_is_asked_again(visit, plain, photos):
    tab = visit(plain, [photos / "green.png"])
    assert tab.text(".card h3") == MANY[1]
    choose(tab, "#model", "3")
    settled(tab)
    assert tab.text(".card h3") == FORMULA


def test_another_model_may_be_chosen_while_answers_are_under_way(visit, plain, photos):
    tab = visit(plain)
    tab.answer("*/v1/predict?model=12*")
    tab.drop([photos / "green.png", photos / "red.png"])
    tab.wait("document.querySelectorAll('.card.sent').length === 2")
    choose(tab, "#model", "3")
    tab.wait("document.querySelectorAll('.card.done').length === 2")
    assert tab.texts(".card h3") == [FORMULA, HOSTILE]


def test_photos_that_come_before_the_model_is_known_wait(tab, site, photos):
    tab.answer("*/v1/models")
    tab.open(site.address)
    tab.wait("!document.documentElement.classList.contains('loading')")
    tab.drop([photos / "red.png"])
    assert tab.texts(".card") == []
    tab.answer("")
    tab.wait("document.querySelector('.card.done')")


def test_a_server_that_is_gone_is_told(tab, site, photos):
    tab.open(site.address)
    ready(tab)
    tab.answer("*/v1/*")
    tab.drop([photos / "red.png"])
    for number in range(3):
        held = tab.asked(number + 1)
        tab.call("Fetch.failRequest", requestId=held[-1]["requestId"], errorReason="ConnectionRefused")
    tab.wait("document.querySelector('.card.failed')")
    assert "The server does not answer" in tab.text(".card")
    forgive(tab, 3)


def test_a_token_is_asked_for_and_stays_out_of_addresses(small, tmp_path, tab, photos):
    with serving(colour_model(small, tmp_path / "m.onnx", CLASSES), token=TOKEN) as site:
        tab.open(site.address)
        tab.wait("!document.getElementById('trouble').hidden")
        assert tab.text("#trouble-title") == "This server asks for a token"
        tab.press(*TOKEN, "Enter")
        ready(tab)
        add(tab, [photos / "red.png"])
        assert tab.text(".card h3") == HOSTILE
        assert not any(TOKEN in url for url in tab.requests)
        assert tab.run("Object.values(localStorage).join()") == ""
        forgive(tab, 1)


def test_addresses_of_photos_are_given_back(tab, visit, site, photos):
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="window.open_ = 0; const make = URL.createObjectURL, end = URL.revokeObjectURL;"
        "URL.createObjectURL = (each) => { open_ += 1; return make.call(URL, each) };"
        "URL.revokeObjectURL = (each) => { open_ -= 1; end.call(URL, each) };",
    )
    visit(site, [photos / name for name in COLOURS])
    tab.wait("document.querySelectorAll('.picture img').length === 3 && open_ === 0")
    focus(tab, 0)
    tab.press("Enter")
    assert tab.wait("open_") == 1
    tab.press("ArrowRight")
    tab.wait("open_ === 1")
    tab.press("Escape")
    tab.wait("open_ === 0")
