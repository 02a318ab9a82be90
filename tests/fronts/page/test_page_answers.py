"""The page of `sortograph serve`: photos in, answers to be seen, corrected and taken home."""

from __future__ import annotations

import csv
import io
import json
import time

import numpy as np
import pytest

from devtools import MISSING
from page_tools import CLASSES, COLOURS, FORMULA, HOSTILE, MANY, choose, focus, wait_for
from sortograph.files import unguard

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def test_the_first_screen_says_what_to_do_and_how_good_the_model_is(visit, site):
    tab = visit(site)
    assert tab.text("h1") == "Drop photos here"
    promise = tab.text(".promises")
    assert "90.0%" in promise
    assert "of 40 test photos" in promise
    assert "77.0–96.0%, 95% interval" in promise
    assert "새" in tab.text("#welcome-classes")
    assert all(url.startswith(site.address) for url in tab.requests)


def test_dropped_photos_are_answered(visit, site, photos):
    tab = visit(
        site, [photos / name for name in (*COLOURS, "grey.png", "black.png", "=1+1.tiff", "broken.jpg")]
    )
    assert tab.text("#count") == "7 photos"
    assert tab.texts(".card h3") == [*CLASSES, CLASSES[0], CLASSES[0], CLASSES[0], "Cannot be read"]
    grey, black = tab.texts(".card")[3:5]
    assert "Unsure · could be" in grey
    assert "Unlike anything seen in training" in black
    assert "TIFF" in tab.wait("document.querySelectorAll('.card')[5].querySelector('.none')?.textContent")
    assert "not a photo" in tab.texts(".card")[6]
    counts = dict(text.split("\n") for text in tab.texts(".chip"))
    assert counts == {"All": "7", "Sure": "4", "Unsure": "1", "Unlike anything seen": "1", "No result": "1"}
    tab.wait("document.getElementById('said').childElementCount")
    assert "7 photos answered; to look at: 2; without a result: 1." in tab.texts("#said p")
    shares = [float(text.strip(">%")) for text in tab.texts(".card:first-of-type .value")[:3]]
    assert shares[0] > 90
    assert shares == sorted(shares, reverse=True)
    assert all(url.startswith(site.address) for url in tab.requests)


def test_names_are_text(visit, site, photos):
    tab = visit(site, [photos / "red.png"])
    assert tab.text(".card h3") == HOSTILE
    focus(tab, 0)
    tab.press("c")
    assert HOSTILE in tab.text("#chooser-list")
    tab.press("Escape")
    tab.click("#about-button")
    assert HOSTILE in tab.text("#about-facts")
    assert tab.run("document.title") == "colours · sortograph"
    assert tab.run("document.querySelectorAll('img[src=x]').length") == 0
    assert not any(url.endswith("/x") for url in tab.requests)


def test_other_files_are_named_and_not_sent(visit, site, photos):
    tab = visit(site)
    tab.drop([photos / "notes.txt", photos / "red.png"])
    tab.wait("document.querySelector('.card.done')")
    assert tab.text("#notices p") == "1 file is no photo and was left out: notes.txt."
    assert len(tab.texts(".card")) == 1


def test_a_folder_is_walked(visit, site, photos, tmp_path):
    inner = tmp_path / "2026" / "여름"
    inner.mkdir(parents=True)
    for name in ("a.png", "._a.png", "Thumbs.db"):
        (inner / name).write_bytes((photos / "red.png").read_bytes())
    tab = visit(site)
    tab.drop([tmp_path / "2026"])
    tab.wait("document.querySelector('.card.done')")
    assert tab.texts(".card .path") == ["2026/여름/a.png"]
    assert tab.texts("#notices p") == []


def test_photos_are_picked_and_pasted(visit, site, photos):
    tab = visit(site)
    tab.pick("#pick-files", [photos / "red.png"])
    tab.wait("document.querySelectorAll('.card.done').length === 1")
    data = np.frombuffer((photos / "blue.png").read_bytes(), np.uint8).tolist()
    tab.run(
        "{ const data = new DataTransfer();"
        f"data.items.add(new File([new Uint8Array({data})], 'image.png', {{type: 'image/png'}}));"
        "dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})); }"
    )
    tab.wait("document.querySelectorAll('.card.done').length === 2")
    assert tab.texts(".card h3") == [CLASSES[0], CLASSES[2]]


def test_the_camera_gives_a_photo(visit, site):
    tab = visit(site)
    tab.click("#welcome [data-pick=camera]")
    tab.wait("!document.getElementById('camera-take').disabled")
    tab.click("#camera-take")
    tab.wait("document.querySelector('.card.done')")
    assert tab.text(".card h3") == FORMULA  # the browser's false camera shows green
    assert tab.text("#camera-note") == "1 photo taken."
    tab.press("Escape")
    tab.wait("document.getElementById('camera-video').srcObject === null")


def test_a_key_corrects_and_the_server_keeps_it(visit, site, photos):
    tab = visit(site, [photos / "red.png", photos / "blue.png"])
    focus(tab, 0)
    tab.press("3")
    tab.wait("document.querySelector('.given.kept')?.textContent.includes('kept')")
    assert tab.text(".card h3") == "새"
    assert "Corrected · kept" in tab.text(".card")
    assert tab.run("document.activeElement.id") == tab.run("document.querySelector('.card').id")
    tab.press("ArrowRight", "3")
    tab.wait("document.querySelectorAll('.given.kept').length === 2")
    assert "Confirmed" in tab.texts(".card")[1]
    assert "blue.png: 새, kept" in tab.texts("#said p")
    rows = list(csv.DictReader((site.corrections / "corrections.csv").read_text("utf-8").splitlines()))[-2:]
    assert [row["label"] for row in rows] == ["새", "새"]
    assert [row["predicted"] for row in rows] == [HOSTILE, "새"]
    assert (site.corrections / rows[0]["path"]).read_bytes() == (photos / "red.png").read_bytes()


def test_of_quick_corrections_the_last_one_is_kept_last(visit, site, photos):
    """One by one, whatever the order in which answers come; those in between are not sent at all."""
    tab = visit(site, [photos / "red.png"])
    tab.answer("*/v1/corrections*")
    focus(tab, 0)
    tab.press("2", "1", "3")
    tab.asked(1)
    time.sleep(0.3)
    assert len(tab.asked(1)) == 1
    tab.answer("")
    tab.wait("document.querySelector('.given.kept')")
    rows = list(csv.DictReader((site.corrections / "corrections.csv").read_text("utf-8").splitlines()))[-2:]
    assert [unguard(row["label"]) for row in rows] == [FORMULA, "새"]
    assert "red.png: 새, kept" in tab.texts("#said p")


def test_more_than_nine_classes_are_chosen_by_typing(visit, plain, photos):
    tab = visit(plain, [photos / "red.png"])
    assert "without a folder for them" in tab.text("#kept-where")
    focus(tab, 0)
    tab.press("1")
    assert tab.run("document.getElementById('chooser-field').value") == "1"
    assert tab.texts("#chooser-list li") == [MANY[0], MANY[9], MANY[10]]
    tab.press("0")
    tab.press("Enter")
    assert tab.text(".card h3") == MANY[9]
    assert "in the CSV only" in tab.text(".card")
    assert tab.run("document.activeElement.className").startswith("card")


def test_the_table_is_made_in_the_browser(visit, site, photos, tmp_path):
    tab = visit(site, [photos / name for name in ("=1+1.tiff", "green.png", "broken.jpg")])
    asked = len(tab.requests)
    focus(tab, 0)
    tab.press("2")
    tab.wait("document.querySelector('.given.kept')")
    tab.keep_downloads(tmp_path)
    tab.click("#csv")
    tab.wait("document.querySelector('.notice')")
    file = wait_for(tmp_path, "colours-*.csv")
    text = file.read_text("utf-8-sig")
    first, second, third = csv.DictReader(io.StringIO(text))
    assert first["path"] == "'=1+1.tiff"
    assert first["corrected"] == f"'{FORMULA}"
    assert unguard(first["corrected"]) == FORMULA
    assert (first["label"], first["kept"]) == (HOSTILE, "true")
    assert second["label"] == f"'{FORMULA}"
    assert 0.9 < float(second["probability"]) < 1
    assert third["label"] == third["probability"] == ""
    assert "not a photo" in third["error"]
    assert first["sha256"] == second["sha256"]
    assert len(first["sha256"]) == 64
    assert len(tab.requests) == asked + 1  # the correction


def test_filters_and_order(visit, site, photos):
    tab = visit(site, [photos / name for name in ("grey.png", *COLOURS, "black.png")])
    choose(tab, "#sort", "least")
    shares = tab.run(
        "[...document.querySelectorAll('.card')].map(c => parseFloat(c.querySelector('.value').textContent))"
    )
    assert shares == sorted(shares)
    assert len(shares) == 5
    tab.click(".chip.unsure")
    assert tab.texts(".card .path") == ["grey.png"]
    assert tab.text("#tally") == "1 shown"
    tab.click(".chip.all")
    choose(tab, "#by-class", CLASSES[2])
    assert tab.texts(".card .path") == ["blue.png"]
    tab.click(".chip.unlike")
    assert tab.text("#nothing p") == "No photo is of this kind."
    tab.click("#show-all")
    assert len(tab.texts(".card")) == 5


def test_where_the_answer_comes_from(visit, site, photos):
    tab = visit(site, [photos / "both.png"])
    focus(tab, 0)
    tab.press("h")
    tab.wait("!document.getElementById('closer-heat').hidden")
    drawn = "document.getElementById('closer-heat')"
    shown = "document.getElementById('closer-image')"
    assert tab.run(f"{drawn}.width / {drawn}.height") == pytest.approx(40 / 30)
    assert tab.run(f"{drawn}.clientWidth === {shown}.clientWidth && {drawn}.offsetTop === {shown}.offsetTop")
    data = tab.run(f"[...{drawn}.getContext('2d').getImageData(0, 0, 40, 30).data]")
    pixels = np.array(data).reshape(30, 40, 4)
    red, blue = pixels[15, 10], pixels[15, 34]
    assert red[3] > 30
    assert abs(red[:3] - (214, 40, 40)).max() < 8  # speaks for red, that is
    assert blue[3] > 30
    assert abs(blue[:3] - (38, 84, 204)).max() < 8
    assert "speaks for " + HOSTILE in tab.text("#closer-legend")
    assert tab.run("document.getElementById('closer-heat-button').getAttribute('aria-pressed')") == "true"
    tab.press("Escape")
    tab.wait("document.activeElement.className.startsWith('card')")


def test_a_heatmap_lies_where_the_model_looked(visit, site):
    from sortograph.images.preprocess import _middle

    tab = visit(site)

    def box(size: tuple[int, int], mode: str, share: float) -> dict[str, float]:
        spec = {"size": [64, 48], "mode": mode, "crop_share": share}
        photo = {"width": size[0], "height": size[1]}
        call = f"(await import('/page/heat.js')).seenBox({json.dumps(spec)}, {json.dumps(photo)})"
        return tab.run(f"(async () => {call})()")

    for size in ((400, 300), (300, 400), (31, 200)):
        for share in (1.0, 0.875):
            left, top, right, bottom = _middle(size, (48, 64), share)
            seen = box(size, "crop", share)
            assert (seen["x"], seen["y"]) == pytest.approx((left, top))
            assert (seen["width"], seen["height"]) == pytest.approx((right - left, bottom - top))
        padded = box(size, "pad", 1.0)
        assert padded["width"] / padded["height"] == pytest.approx(48 / 64)
        assert min(padded["width"] - size[0], padded["height"] - size[1]) == pytest.approx(0, abs=1e-9)
        assert box(size, "squash", 1.0) == {"x": 0, "y": 0, "width": size[0], "height": size[1]}
