"""sort, undo, review: photos into folders by what a model says, and what people make of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from sortograph import sorting
from sortograph.classify import Classifier, FakeClassifier, find_photos, load
from sortograph.cores import cores
from sortograph.errors import DataError, StorageError, UsageError, command, counted, nearest
from sortograph.files import is_in, write_csv
from sortograph.records import Prediction, Progress, Said, Step, silent
from sortograph.records.sorting import WAYS, Review, Sorted, SortPlan, Undone
from sortograph.sorting import DEFAULT, Carrier, Wish

Model = str | os.PathLike[str] | Classifier | FakeClassifier
Place = str | os.PathLike[str]

CSV_HEADER = ("path", "label")


def sort(
    model: Model,
    source: Place,
    *,
    into: Place,
    apply: bool = False,
    way: str = "copy",
    max_error: float | None = None,
    template: str = DEFAULT,
    progress: Progress = silent,
) -> Sorted:
    """Plan where each photo of a folder goes by its class, and, with `apply`, bring it there.

    model: a model.onnx, a run folder, or what `load` has opened
    into: the destination; one that does not exist is made
    way: copy, move, hardlink or symlink
    max_error: as `load` takes it: less sure photos go to `_unsure`
    template: folders and name below `into`, of the fields label, name, stem, suffix, folder, date,
    probability

    Without `apply` nothing is changed; hand the result's plan to `apply_sort` to carry out exactly that.
    Photos that cannot be read, and links, stay where they are. Nothing is ever written over. Raises
    UsageError for wrong arguments and for folders that lie in each other, BundleError, DataError without
    readable photos, StorageError where the destination cannot be written or lacks room: before the first act,
    or with the journal's name.
    """
    wish, classifier = _wish(model, source, into, way, max_error, template)
    photos = _photos(wish.source, progress)
    plan = sorting.make_plan(wish, _answers(classifier, photos, progress))
    _check_readable(plan)
    sorting.check_room(plan.source, plan.destination, plan.way, plan.files)
    return sorting.apply(plan, progress=progress) if apply else Sorted(plan)


def apply_sort(plan: SortPlan, *, progress: Progress = silent) -> Sorted:
    """Carry out a plan of `sort` as it stands. Photos that were changed since are left, and told as such.

    Every step is in the journal before it is taken, so that after a stop at any moment `resume_sort` goes on
    and `undo` restores. Raises as `sort` does, and Interrupted.
    """
    return sorting.apply(plan, progress=progress)


def resume_sort(journal: Place, *, progress: Progress = silent) -> Sorted:
    """Go on where a sort was stopped. Raises DataError for a missing or damaged journal; else as `sort`
    does."""
    return sorting.resume(Path(journal), progress=progress)


def undo(journal: Place, *, progress: Progress = silent) -> Undone:
    """Take a sort back: both folders are as before, down to bytes, times and permissions of the files.

    Files that were changed or moved since are left alone and told; the journal stays then. Raises DataError
    for a missing or damaged journal, StorageError where a place cannot be written.
    """
    return sorting.undo(Path(journal), progress=progress)


def review(destination: Place, *, csv: Place | None = None) -> Review:
    """Photos that people have moved to another class's folder since they were sorted.

    csv: a table of them, path and label, for `train`; in the destination or a folder above, as `train` takes
    it

    Raises DataError where nothing was sorted into the folder, UsageError for another place of the table,
    StorageError where there is such a file already: a table is never written over.
    """
    place = Path(destination)
    file = None if csv is None else _table_place(Path(csv), place)
    found = sorting.review(place)
    if file is not None:
        below = place.resolve().relative_to(file.parent.resolve()).as_posix()
        prefix = "" if below == "." else f"{below}/"
        write_csv(file, CSV_HEADER, [(f"{prefix}{row.path}", row.label) for row in found.corrections])
    return found


def watch_sort(
    model: Model,
    source: Place,
    *,
    into: Place,
    way: str = "copy",
    max_error: float | None = None,
    template: str = DEFAULT,
    progress: Progress = silent,
) -> Iterator[Sorted]:
    """Sort what is in a folder, and what arrives in it, when it is wholly written; until Ctrl-C.

    Gives a result for each group of photos; all share one journal. Raises MissingExtra without watchdog,
    DataError when the folder is gone, Interrupted when Ctrl-C stops it between two acts, and else as `sort`
    does.
    """
    wish, classifier = _wish(model, source, into, way, max_error, template)
    with ExitStack() as stack:
        happened = stack.enter_context(sorting.notices(wish.source))
        arrivals = sorting.arriving(wish.source, happened)
        carrier: Carrier | None = None
        while (ready := _next(arrivals)) is not None:
            photos = [photo for photo in ready if not photo.is_symlink()]
            plan = sorting.make_plan(wish, classifier.predict_many(photos, top_k=1, threads=cores()))
            sorting.check_room(plan.source, plan.destination, plan.way, plan.files)
            if carrier is None and plan.files:
                carrier = Carrier(stack.enter_context(sorting.new_trail(plan)))
            yield carrier.add(plan, progress) if carrier is not None else Sorted(plan)


def _next(arrivals: Iterator[list[Path]]) -> list[Path] | None:
    """None when the user has had enough."""
    try:
        return next(arrivals)
    except KeyboardInterrupt:
        return None


def _wish(
    model: Model, source: Place, into: Place, way: str, max_error: float | None, template: str
) -> tuple[Wish, Classifier | FakeClassifier]:
    if way not in WAYS:
        raise UsageError(f"no way {way!r}{nearest(way, WAYS)}", expected=", ".join(WAYS))
    checked = sorting.read_template(template)
    home, place = sorting.check_ends(Path(source), Path(into))
    if isinstance(model, str | os.PathLike):
        classifier: Classifier | FakeClassifier = load(model, threads=1, max_error=max_error)
    elif max_error is not None:
        raise UsageError("max_error for a model that is open already", fix="load(model, max_error=…)")
    else:
        classifier = model
    return Wish(home, place, way, checked, sorting.class_folders(classifier.classes)), classifier


def _photos(source: Path, progress: Progress) -> list[Path]:
    """Those that are there themselves: links are neither followed nor moved."""
    found = list(find_photos([source]))
    photos = [photo for photo in found if not photo.is_symlink()]
    if len(photos) < len(found):
        progress(Said(f"{counted(len(found) - len(photos), 'link')} left where they are"))
    if not photos:
        raise DataError("no photos", where=str(source), expected="photos that are no links")
    return photos


def _answers(
    classifier: Classifier | FakeClassifier, photos: Sequence[Path], progress: Progress
) -> Iterator[Prediction]:
    for done, answer in enumerate(classifier.predict_many(photos, top_k=1, threads=cores()), 1):
        yield answer
        progress(Step("looking at photos", done, len(photos)))


def _check_readable(plan: SortPlan) -> None:
    if plan.unreadable and not (plan.files or plan.identical):
        total = len(plan.unreadable)
        what = "the photo could not be read" if total == 1 else f"none of {total} photos could be read"
        first = plan.unreadable[0]
        raise DataError(
            f"{what} ({first.path}: {first.reason})",
            where=str(plan.source),
            fix=command("sortograph", "audit", plan.source),
        )


def _table_place(file: Path, destination: Path) -> Path:
    """Where `train` finds the photos: it reads paths below the folder of its table."""
    if file.suffix.lower() != ".csv":
        raise UsageError(f"--csv writes a table, not {file.name!r}", expected="FILE.csv")
    if not is_in(destination, file.parent):
        raise UsageError(
            "train looks for photos below the folder of its table",
            where=str(file),
            expected=f"a place in {destination}, or in a folder above it",
            fix=f"--csv {destination / 'corrections.csv'}",
        )
    if os.path.lexists(file):
        raise StorageError("there is such a file already", where=str(file), fix="choose another name")
    return file
