from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph import caches
from sortograph.cores import cores
from sortograph.dataset import scan
from sortograph.errors import DataError, GateError, RunError, StorageError, UsageError
from sortograph.features import FeatureKeeper, GraphEmbedder, cache
from sortograph.features import intake as intake_module
from sortograph.features.shelf import Shelf
from sortograph.images import inspect
from sortograph.records import PreprocessSpec, Said, Step

SPEC = PreprocessSpec(size=(6, 5))
CROPPED = PreprocessSpec(size=(8, 8), mode="crop", crop_share=0.75)


def rows(index) -> np.ndarray:
    return np.arange(len(index))


def scanned(keeper: FeatureKeeper, photos: Path):
    index = scan(photos, keeper=keeper)
    keeper.flush()
    return index


@pytest.fixture
def reads(monkeypatch):
    """The paths that a table has read again."""
    from sortograph.features import table

    paths, real = [], table.shared_crew()

    class Spy:
        def read(self, root, names, sizes=(), look=True):
            listed = list(names)
            paths.extend(listed)
            return real.read(root, listed, sizes, look)

    def read_here(root, path):
        paths.append(path)
        return inspect.read_photo(root, path)

    monkeypatch.setattr(table, "shared_crew", Spy)
    monkeypatch.setattr(table, "read_photo", read_here)
    return paths


def test_photos_are_embedded_while_they_are_read(photos, prepared, graph, means, reads):
    embedder = GraphEmbedder(graph(), SPEC)
    keeper = FeatureKeeper(embedder)
    index = scanned(keeper, photos)
    table = keeper.table(index, rows(index))
    assert reads == []
    assert table.features.dtype == np.float32
    np.testing.assert_allclose(table.features, means(prepared(index)), rtol=1e-5)
    np.testing.assert_array_equal(table.rows, rows(index))
    assert embedder.key in table.source
    assert SPEC.resize_key() in table.source
    np.testing.assert_allclose(keeper.embed(prepared(index)), table.features, rtol=1e-5)


def test_a_table_embeds_what_is_missing_by_itself(photos, prepared, counting):
    index = scan(photos)
    embedder = counting()
    table = FeatureKeeper(embedder).table(index, rows(index))
    np.testing.assert_array_equal(table.features, embedder.of(prepared(index)))


def test_no_photo_is_embedded_twice(photos, counting, reads):
    first, again = counting(), counting()
    index = scanned(FeatureKeeper(first), photos)
    keeper = FeatureKeeper(again)
    assert scanned(keeper, photos).fingerprint == index.fingerprint
    keeper.table(index, rows(index))
    assert (first.photos, again.photos, reads) == (12, 0, [])


def test_embedding_happens_beside_in_batches(photos, counting):
    embedder = counting(batch=5)
    scanned(FeatureKeeper(embedder), photos)
    assert sorted(embedder.calls) == [1, 1, 5, 5]  # the rest is divided among both threads
    assert embedder.names == {"sortograph-embed"}


def test_only_new_photos_are_embedded(photos, prepared, counting):
    scanned(FeatureKeeper(counting()), photos)
    (photos / "c").mkdir()
    for number in range(3):
        Image.new("RGB", (9, 9), (number * 50, 20, 90)).save(photos / "c" / f"{number}.png")
    embedder = counting()
    keeper = FeatureKeeper(embedder)
    index = scanned(keeper, photos)
    assert embedder.photos == 3
    features = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))


def test_the_same_content_twice_is_embedded_once(photos, prepared, counting):
    for name in ("copy", "copy of the copy"):
        (photos / "b" / f"{name}.png").write_bytes((photos / "a" / "00.png").read_bytes())
    embedder = counting()
    keeper = FeatureKeeper(embedder)
    index = scan(photos)
    table = keeper.table(index, rows(index))
    assert (embedder.photos, len(index)) == (12, 14)
    np.testing.assert_array_equal(table.features, embedder.of(prepared(index)))


def test_a_table_of_some_rows(photos, prepared, counting):
    index, embedder = scan(photos), counting()
    chosen = np.array([1, 4, 11])
    table = FeatureKeeper(embedder).table(index, chosen)
    assert embedder.photos == 3
    np.testing.assert_array_equal(table.features, embedder.of(prepared(index))[chosen])
    np.testing.assert_array_equal(table.of(np.array([11, 1])), table.features[[2, 0]])


def test_embedders_are_joined_and_each_has_a_store_of_its_own(photos, prepared, counting, cache):
    one, other = counting("one"), counting("other")
    scanned(FeatureKeeper(one), photos)
    keeper = FeatureKeeper([other, one])
    index = scanned(keeper, photos)
    assert (one.photos, other.photos, keeper.width) == (12, 12, 6)
    alone = FeatureKeeper(counting("other"))
    joined = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(joined[:, :3], alone.table(index, rows(index)).features)
    assert alone.embedders[0].photos == 0
    assert len(list(cache.rglob("values.bin"))) == 2


def test_joined_embedders_may_see_photos_differently(photos, prepared, counting):
    one, other = counting("one"), counting("other", CROPPED)
    keeper = FeatureKeeper([one, other])
    assert [spec for spec, _ in keeper.sizes] == [SPEC, CROPPED]
    index = scanned(keeper, photos)
    features = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(features[:, :3], one.of(prepared(index)))
    np.testing.assert_array_equal(features[:, 3:], other.of(prepared(index, CROPPED)))
    with pytest.raises(UsageError, match="differently"):
        keeper.embed(prepared(index))


def test_embedders_that_see_photos_alike_share_their_pixels(counting):
    keeper = FeatureKeeper([counting("one"), counting("other"), counting("third", CROPPED)])
    assert keeper.sizes == ((SPEC, 1.0), (CROPPED, 1.0))


def test_half_precision_is_rounded_once_and_kept_apart(photos, prepared, counting, cache):
    embedder = counting()
    index = scan(photos)
    exact = FeatureKeeper(embedder).table(index, rows(index)).features
    for _ in range(2):
        half = FeatureKeeper(embedder, precision="float16").table(index, rows(index)).features
        assert half.dtype == np.float32
        np.testing.assert_array_equal(half, exact.astype(np.float16).astype(np.float32))
    assert embedder.photos == 24
    assert sorted(file.stat().st_size for file in cache.rglob("values.bin")) == [12 * 6, 12 * 12]


def test_numbers_too_large_for_half_precision_are_refused(photos, counting):
    embedder = counting()
    embedder.of = lambda photos: np.full((len(photos), 3), 1e6, np.float32)
    index = scan(photos)
    with pytest.raises(GateError, match="1e\\+06 do not fit into 16 bits") as caught:
        FeatureKeeper(embedder, precision="float16").table(index, rows(index))
    assert "precision=float32" in caught.value.fix
    FeatureKeeper(embedder).table(index, rows(index))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_embeddings_that_are_no_numbers_are_refused_and_not_kept(photos, counting, wrong):
    embedder = counting()
    embedder.of = lambda photos: np.full((len(photos), 3), wrong, np.float32)
    index = scan(photos)
    with pytest.raises(GateError, match="no numbers"):
        FeatureKeeper(embedder).table(index, rows(index))
    sound = counting()
    FeatureKeeper(sound).table(index, rows(index))
    assert sound.photos == 12


@pytest.mark.parametrize("call", ["scan", "table"])
def test_what_fails_in_the_threads_reaches_the_caller_and_costs_no_more_than_that(
    photos, prepared, counting, call
):
    embedder = counting(threads=1, batch=1)

    def fail(_):
        if len(embedder.calls) == 4:
            raise DataError("the engine broke")

    embedder.before = fail
    keeper, index = FeatureKeeper(embedder), scan(photos)
    with pytest.raises(DataError, match="the engine broke"):
        scanned(keeper, photos) if call == "scan" else keeper.table(index, rows(index))
    embedder.before = lambda _: None
    features = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))
    assert embedder.photos == 12  # the four from before the failure are kept


@pytest.mark.parametrize("count", [2, 3])
def test_threads_that_fill_all_cores_read_photos_themselves(
    photos, counting, prepared, monkeypatch, reads, count
):
    monkeypatch.setattr(cache, "cores", lambda: 3)
    index, embedder, threads = scan(photos), counting(threads=count), set()
    read = inspect.read_bytes
    monkeypatch.setattr(
        inspect, "read_bytes", lambda path: threads.add(threading.current_thread().name) or read(path)
    )
    table = FeatureKeeper(embedder).table(index, rows(index))
    assert sorted(reads) == sorted(index.paths)
    assert threads == ({"sortograph-embed"} if count == 3 else set())  # else other processes read
    np.testing.assert_array_equal(table.features, embedder.of(prepared(index)))


def replaced(path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(path)


def no_photo(path: Path) -> None:
    path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("threads", "change", "reason"),
    [
        (cores(), replaced, "changed"),
        (cores(), Path.unlink, "no such file"),
        (cores(), no_photo, "changed"),
        (0, replaced, "changed"),
        (0, Path.unlink, "no such file"),
        (0, no_photo, "a photo"),
    ],
)
def test_photos_that_changed_since_they_were_indexed_are_named_together(
    photos, counting, monkeypatch, threads, change, reason
):
    index, embedder = scan(photos), counting(threads=threads or 2)
    if not threads:  # fewer than there are cores: other processes read
        monkeypatch.setattr(cache, "cores", lambda: 3)
    keeper = FeatureKeeper(embedder)
    for name in ("a/04.png", "b/07.png"):
        change(photos / name)
    with pytest.raises(RunError, match=f"2 photos cannot be used any more.*{reason}") as caught:
        keeper.table(index, rows(index))
    assert caught.value.where == "a/04.png, b/07.png"
    assert caught.value.fix
    sound = np.array([row for row in rows(index) if index.paths[row] not in ("a/04.png", "b/07.png")])
    FeatureKeeper(embedder).table(index, sound)
    assert embedder.photos == 10


def test_progress_with_the_time_that_is_left(photos, counting):
    events: list[Step] = []
    embedder = counting(threads=1, batch=1)
    embedder.before = lambda _: time.sleep(0.05)
    index = scan(photos)
    FeatureKeeper(embedder, progress=events.append).table(index, rows(index))
    assert {(event.task, event.total, event.unit) for event in events} == {("embedding photos", 12, "photos")}
    done = [event.done for event in events]
    assert done == sorted(set(done))
    assert done[-1] == 12
    assert len(done) >= 3
    assert all(event.seconds_left >= 0 for event in events)
    assert events[-1].seconds_left == 0
    middle = events[len(events) // 2]
    assert 0.2 < middle.seconds_left / (0.05 * (12 - middle.done)) < 5


def test_nothing_is_told_where_nothing_is_embedded(photos, counting):
    index = scanned(FeatureKeeper(counting()), photos)
    events: list[Step] = []
    FeatureKeeper(counting(), progress=events.append).table(index, rows(index))
    assert events == []


def test_without_a_writable_cache_a_temporary_folder_serves(photos, prepared, counting, cache):
    index = scan(photos)
    caches.clear(cache, "scans")
    for folder in sorted(cache.rglob("*"), reverse=True):
        folder.rmdir()
    cache.rmdir()
    cache.write_bytes(b"a file where the folder should be")
    said: list[Said] = []
    embedder = counting()
    keeper = FeatureKeeper(embedder, progress=lambda event: said.append(event))
    features = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))
    keeper.table(index, rows(index))
    assert embedder.photos == 12
    warnings = [event.text for event in said if isinstance(event, Said)]
    assert len(warnings) == 1
    assert "the cache is not used" in warnings[0]
    assert str(cache) in warnings[0]


def test_a_full_cache_keeps_what_it_has_and_says_so_once(photos, prepared, counting, cache, monkeypatch):
    index = scan(photos)
    FeatureKeeper(counting()).table(index, np.arange(5))
    monkeypatch.setattr(caches, "limit", lambda _: caches.taken(cache) + 5)
    said: list[Said] = []
    embedder = counting()
    keeper = FeatureKeeper([embedder, counting("other")], progress=said.append)
    features = keeper.table(index, rows(index)).features
    assert embedder.photos == 7
    np.testing.assert_array_equal(features, np.tile(embedder.of(prepared(index)), 2))
    warnings = [event.text for event in said if isinstance(event, Said)]
    assert len(warnings) == 1
    assert "cache clear" in warnings[0]
    assert len(list(cache.rglob("values.bin"))) == 1


def test_a_temporary_folder_that_cannot_be_written_is_an_error(photos, counting, monkeypatch):
    def refuse(store, photos):
        raise StorageError("cannot write (the disk is full)", where=str(store.folder))

    monkeypatch.setattr("sortograph.loading.store.Store.append", refuse)
    index = scan(photos)
    with pytest.raises(StorageError, match="the disk is full"):
        FeatureKeeper(counting()).table(index, rows(index))


def test_embeddings_are_written_on_the_way(photos, counting, cache, monkeypatch):
    monkeypatch.setattr(intake_module, "_WRITE_PHOTOS", 4)
    keeper = FeatureKeeper(counting(threads=1, batch=2))
    scan(photos, keeper=keeper)
    assert sum(file.stat().st_size for file in cache.rglob("values.bin")) >= 4 * 12
    keeper.flush()


def test_a_slow_run_writes_every_few_seconds(photos, counting, cache, monkeypatch):
    monkeypatch.setattr(intake_module, "_WRITE_SECONDS", 0.05)
    embedder = counting(threads=1, batch=1)
    embedder.before = lambda _: time.sleep(0.03)
    keeper = FeatureKeeper(embedder)
    scan(photos, keeper=keeper)
    assert sum(file.stat().st_size for file in cache.rglob("values.bin")) >= 3 * 12
    keeper.flush()


KILLED = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from conftest import Counting
    from sortograph.dataset import scan
    from sortograph.features import FeatureKeeper, intake

    intake._WRITE_PHOTOS = 1
    embedder = Counting(threads=1, batch=1)
    embedder.before = lambda _: (print("one", flush=True), time.sleep(0.05))
    keeper = FeatureKeeper(embedder)
    scan(Path(sys.argv[1]), keeper=keeper)
    keeper.flush()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_run_that_was_killed_goes_on_where_it_was(photos, prepared, counting):
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(photos), str(Path(__file__).parent)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        for _ in range(8):
            assert run.stdout.readline() == "one\n"
        os.kill(run.pid, signal.SIGKILL)
    embedder = counting()
    keeper = FeatureKeeper(embedder)
    index = scanned(keeper, photos)
    assert 4 <= embedder.photos <= 9  # at least three had been written
    features = keeper.table(index, rows(index)).features
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))


def test_an_interrupted_table_keeps_what_was_embedded(photos, counting, monkeypatch):
    embedder = counting(threads=1, batch=1)
    keeper = FeatureKeeper(embedder)
    index = scan(photos)

    def interrupted(self, work):
        if embedder.photos >= 3:
            raise KeyboardInterrupt
        work()

    with monkeypatch.context() as patch:
        patch.setattr("sortograph.features.threads.Threads.submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            keeper.table(index, rows(index))
    assert sum(map(FeatureKeeper(counting()).has, index.sha256)) == 3


def test_a_run_keeps_its_stores_recent(photos, counting, cache):
    keeper = FeatureKeeper(counting())
    index = scanned(keeper, photos)
    (store,) = {file.parent for file in (cache / "features").rglob("keys.bin")}
    os.utime(store, (0, 0))
    keeper.table(index, rows(index))
    assert time.time() - store.stat().st_mtime < 60


def test_damaged_embeddings_are_made_again(photos, prepared, counting, cache):
    index = scanned(FeatureKeeper(counting()), photos)
    (values,) = (cache / "features").rglob("values.bin")
    with values.open("r+b") as file:
        file.seek(12 * 4 + 3)
        file.write(b"\x7f\x7f")
    embedder = counting()
    features = FeatureKeeper(embedder).table(index, rows(index)).features
    assert embedder.photos == 1
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))


def test_the_photos_folder_stays_as_it_is(photos, counting):
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    keeper = FeatureKeeper(counting())
    keeper.table(scanned(keeper, photos), np.arange(12))
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_no_shelf_is_touched_by_the_embedding_threads(photos, counting, monkeypatch):
    """Stores are not made for several threads."""
    seen = set()
    for name in ("__contains__", "append", "read"):
        real = getattr(Shelf, name)

        def noted(*words, real=real):
            seen.add(threading.current_thread())
            return real(*words)

        monkeypatch.setattr(Shelf, name, noted)
    keeper = FeatureKeeper(counting(batch=1))
    keeper.table(scanned(keeper, photos), np.arange(12))
    assert seen == {threading.current_thread()}


def test_a_cache_that_is_cleared_meanwhile_is_filled_again(photos, prepared, counting, cache, monkeypatch):
    monkeypatch.setattr(intake_module, "_WRITE_PHOTOS", 1)
    append, cleared = Shelf.append, []

    def cleared_once(shelf, made):
        append(shelf, made)
        if not cleared:
            cleared.append(caches.clear(cache, "features"))

    monkeypatch.setattr(Shelf, "append", cleared_once)
    embedder = counting(threads=1, batch=1)
    embedder.before = lambda _: time.sleep(0.005)  # so that it is not all written at once
    index = scan(photos)
    features = FeatureKeeper(embedder).table(index, rows(index)).features
    assert cleared[0] > 0
    assert 12 < embedder.photos < 24
    np.testing.assert_array_equal(features, embedder.of(prepared(index)))
