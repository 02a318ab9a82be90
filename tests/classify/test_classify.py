from __future__ import annotations

import io
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from painted import picture, png
from sortograph.classify import Classifier, FakeClassifier, find_photos, load
from sortograph.errors import BundleError, UsageError
from sortograph.images.preprocess import prepare, resize
from sortograph.records import Prediction


def test_the_answer_is_that_of_numpy(small, classifier):
    data = png(picture(3))
    expected = small.expected(prepare(data, small.manifest.preprocess)[None])[0][0]
    order = np.argsort(-expected)
    answer = classifier.predict(data)
    assert answer.label == small.manifest.classes[order[0]]
    assert answer.probability == pytest.approx(expected[order[0]], abs=1e-6)
    assert [name for name, _ in answer.top_k] == [small.manifest.classes[k] for k in order]
    assert [p for _, p in answer.top_k] == pytest.approx(expected[order], abs=1e-6)
    assert (answer.path, answer.unsure, answer.error) == ("", None, None)


def test_the_answer_is_made_of_plain_numbers(classifier):
    answer = classifier.predict(picture(1))
    assert type(answer.probability) is float
    assert {type(p) for _, p in answer.top_k} == {float}


@pytest.mark.parametrize("seed", range(3))
def test_all_ways_to_hand_in_a_photo_agree(classifier, tmp_path, seed):
    pixels = picture(seed)
    path = tmp_path / "a photo.png"
    path.write_bytes(png(pixels))
    ways = (path, str(path), png(pixels), Image.open(path), pixels)
    answers = [classifier.predict(photo) for photo in ways]
    assert len({(a.label, a.probability, a.top_k) for a in answers}) == 1
    assert answers[0].path == answers[1].path == str(path)


def test_arrays_and_images_of_other_kinds(small, classifier):
    grey = Image.new("L", (9, 9), 128)
    same = np.full((9, 9, 3), 128, np.uint8)
    assert classifier.predict(grey).top_k == classifier.predict(same).top_k
    view = picture(4)[::2, ::-1]
    expected = small.expected(resize(view, small.manifest.preprocess)[None])[0][0]
    assert classifier.predict(view).probability == pytest.approx(expected.max(), abs=1e-6)


def test_a_pillow_image_is_turned_as_its_file_would_be(classifier):
    pixels = np.zeros((20, 10, 3), np.uint8)
    pixels[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    image = Image.open(io.BytesIO(buffer.getvalue()))
    assert classifier._pixels(image).tolist() == classifier._pixels(buffer.getvalue()).tolist()
    assert classifier._pixels(image)[0, 0, 0] != classifier._pixels(image)[0, -1, 0]


UNREADABLE = {
    "bytes": b"no photo",
    "empty": b"",
    "cut": png(picture(0))[:100],
    "missing": "nowhere/none.jpg",
    "folder": ".",
    "floats": np.zeros((4, 4, 3)),
    "grey array": np.zeros((4, 4), np.uint8),
    "no pixels": np.zeros((0, 4, 3), np.uint8),
    "name": "\0.jpg",
    "a number": 7,
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_an_answer_too(classifier, case):
    photo = UNREADABLE[case]
    one = classifier.predict(photo)
    assert one.label is one.probability is one.unsure is None
    assert one.top_k == ()
    assert one.error
    assert list(classifier.predict_many([photo, photo])) == [one, one]
    assert list(classifier.predict_many([photo])) == [one]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_many_are_answered_in_order_as_one_by_one(classifier, folder, batch_size):
    photos = list(find_photos([folder]))
    many = list(classifier.predict_many(photos, batch_size=batch_size, top_k=2))
    single = [classifier.predict(photo, top_k=2) for photo in photos]
    assert [a.path for a in many] == [str(path) for path in photos]
    assert [(a.label, a.error) for a in many] == [(a.label, a.error) for a in single]
    for one, other in zip(many, single, strict=True):
        assert [p for _, p in one.top_k] == pytest.approx([p for _, p in other.top_k], abs=1e-6)
    assert [Path(a.path).name for a in many if a.error] == ["5.png"]


def test_nothing_gives_nothing(classifier):
    assert list(classifier.predict_many([])) == []
    assert list(classifier.predict_many(iter(()))) == []


def test_photos_are_taken_only_a_few_batches_ahead(classifier):
    taken = itertools.count()
    last = 0

    def endless():
        nonlocal last
        for last in taken:
            yield picture(last % 5)

    answers = classifier.predict_many(endless(), batch_size=4, threads=2)
    for k in range(400):  # what is in memory by itself is no more than a few calls of the model
        assert next(answers).error is None
        assert last < k + 4 * (2 * 2 + 2)
    answers.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("sortograph-predict")]


def test_names_are_taken_some_way_ahead(classifier, tmp_path):
    Image.fromarray(picture(1)).save(tmp_path / "a.png")
    last = 0

    def endless():
        nonlocal last
        for last in itertools.count():
            yield tmp_path / ("a.png" if last % 7 else "none.png")

    answers = classifier.predict_many(endless(), batch_size=4, threads=2)
    lag = 0
    for k in range(2000):
        assert (next(answers).error is None) == bool(k % 7)
        lag = max(lag, last - k)
    answers.close()
    assert 4 * (2 * 2 + 2) < lag < 32 * (2 * 2 + 2)


def test_one_photo_starts_no_thread(classifier, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a thread pool for one photo")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.__init__", refuse)
    assert len(list(classifier.predict_many([picture(1)]))) == 1
    with pytest.raises(AssertionError):
        list(classifier.predict_many([picture(1), picture(2)]))


def test_photos_are_decoded_while_the_model_runs(classifier, monkeypatch):
    # The model waits for a photo of a later batch: without overlap this would never end.
    decoded = threading.Event()
    photos = [picture(k) for k in range(6)]
    pixels = classifier._pixels

    def watch(photo):
        if photo is photos[2]:
            decoded.set()
        return pixels(photo)

    def wait(batch):
        assert decoded.wait(5)
        return np.full((len(batch), 3), 1 / 3), None

    monkeypatch.setattr(Classifier, "_pixels", lambda self, photo: watch(photo))
    monkeypatch.setattr(Classifier, "_probabilities_of_many", lambda self: wait)
    assert len(list(classifier.predict_many(photos, batch_size=2, threads=2))) == 6


def test_an_error_of_the_source_reaches_the_caller(classifier):
    def broken():
        yield picture(1)
        yield picture(2)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(classifier.predict_many(broken(), batch_size=1))


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": -1}])
def test_counts_below_one_are_refused_at_once(classifier, options):
    with pytest.raises(UsageError, match="top_k"):
        classifier.predict(picture(1), **options)
    with pytest.raises(UsageError, match="top_k"):
        classifier.predict_many([], **options)
    for name in ("batch_size", "threads"):
        with pytest.raises(UsageError, match=name):
            classifier.predict_many([], **{name: 0})


@pytest.mark.parametrize("photo", ["a.jpg", Path("a.jpg"), b"bytes"])
def test_one_photo_is_not_many(classifier, photo):
    with pytest.raises(UsageError, match="one photo"):
        classifier.predict_many(photo)


def test_top_k_is_cut_to_the_classes(classifier):
    assert [len(classifier.predict(picture(1), top_k=k).top_k) for k in (1, 2, 3, 99)] == [1, 2, 3, 3]


def test_a_classifier_is_safe_among_threads(classifier):
    photos = [picture(k) for k in range(20)]
    alone = [classifier.predict(photo) for photo in photos]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda _: list(classifier.predict_many(photos, batch_size=1)), range(5)))
    assert all(answers == alone for answers in together)


def test_a_model_without_numbers_gives_an_error_instead_of_a_label(classifier, monkeypatch):
    rows = np.array([[0.2, 0.5, 0.3], [np.nan, 0.5, 0.5]], np.float32)
    monkeypatch.setattr(Classifier, "_probabilities_of_many", lambda self: lambda photos: (rows, None))
    good, bad = classifier.predict_many([picture(1), picture(2)], batch_size=2)
    assert (good.label, good.error) == ("dog", None)
    assert (bad.label, bad.probability) == (None, None)
    assert "no number" in bad.error


def test_load_takes_run_folders_and_names(small, model_file):
    assert load(str(model_file.parent), threads=1).classes == small.manifest.classes
    with pytest.raises(BundleError, match="no such file"):
        load("nowhere")


def test_the_fake_answers_as_a_classifier_would(folder):
    fake = FakeClassifier(["a", "b", "c"])
    photos = list(find_photos([folder]))
    answers = list(fake.predict_many(photos, top_k=2))
    assert answers == [fake.predict(photo, top_k=2) for photo in photos]
    assert [Path(a.path).name for a in answers if a.error] == ["5.png"]
    assert len({a.probability for a in answers if not a.error}) == 11
    assert {a.label for a in answers if not a.error} == {"a", "b", "c"}
    assert all(type(a) is Prediction for a in answers)


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_memory_that_later_photos_share_mixes_no_answers(tmp_path, batch_size):
    """The fake goes by every byte that it gets."""
    fake = FakeClassifier(["a", "b"])
    for k in range(120):
        broken = k % 7 == 3 or 40 <= k < 60
        (tmp_path / f"{k}.png").write_bytes(b"no photo" if broken else png(picture(k)))
    photos = list(find_photos([tmp_path])) * 3
    alone = {photo: fake.predict(photo) for photo in photos[:120]}
    answers = list(fake.predict_many(photos, threads=3, batch_size=batch_size))
    assert answers == [alone[photo] for photo in photos]
    assert len({answer.probability for answer in answers if not answer.error}) > 80


def test_the_fake_goes_by_content_alone(folder):
    fake = FakeClassifier(["a", "b"])
    by_name, by_bytes = fake.predict(folder / "1.png"), fake.predict((folder / "1.png").read_bytes())
    assert by_name.top_k == by_bytes.top_k == fake.predict(picture(1)).top_k
    assert sum(p for _, p in by_name.top_k) == pytest.approx(1)
    assert fake.predict(picture(2)).top_k != by_name.top_k


@pytest.mark.parametrize("classes", [[], ["a", "a"]])
def test_the_fake_needs_classes(classes):
    with pytest.raises(UsageError):
        FakeClassifier(classes)
