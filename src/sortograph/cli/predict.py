"""`predict`: it is to start as fast as the model itself, and to take any number of photos."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from sortograph.cli import streams
from sortograph.cli.predict_options import COMMAND, STDOUT, parse
from sortograph.cores import cores
from sortograph.errors import DataError, Interrupted
from sortograph.lazy import importing

if TYPE_CHECKING:
    from sortograph.classify import Classifier
    from sortograph.classify.tally import Tally
    from sortograph.cli.meter import Meter
    from sortograph.cli.predict_kept import Files
    from sortograph.records import Event

PARTLY = 6
_ALIGNED = 64
__all__ = ["COMMAND", "PARTLY", "run"]


def run(arguments: list[str]) -> int:
    """Parse and predict. 0 when every photo could be read, 6 when some could not; DataError when none."""
    try:
        options = parse(arguments)
    except SystemExit:  # after --help
        return 0
    with importing():
        from sortograph.bundle.reading import Reading

        model = Reading(options.model)  # before the imports, which take as long
        from sortograph.classify import load

    # Of many photos, several calls on one thread each get more done than one call on several.
    threads = options.threads if _is_one(options) else 1
    classifier = load(model, threads=threads, max_error=options.max_error)
    del model  # and with it the bytes of the file
    if options.verbose:
        _describe(classifier)
    files = _files(options, classifier)
    try:
        return _work(options, classifier, files)
    except KeyboardInterrupt:
        kept = files.stop() if files else ""
        raise Interrupted(
            f"interrupted; {kept}" if kept else "interrupted",
            fix="the same command with --resume" if kept else "",
        ) from None
    except BaseException:
        if files and (kept := files.stop()):
            streams.note(streams.safe(f"{kept}; --resume goes on with them"))
        raise


def _is_one(options: argparse.Namespace) -> bool:
    return len(options.inputs) == 1 and os.path.isfile(options.inputs[0])  # noqa: PTH113, for the start-up


def _files(options: argparse.Namespace, classifier: Classifier) -> Files | None:
    if options.csv in (None, STDOUT) and not (options.parquet or options.html or options.grid):
        return None
    from sortograph.cli.predict_kept import Files

    return Files(options, classifier)


def _work(options: argparse.Namespace, classifier: Classifier, files: Files | None) -> int:
    from sortograph.classify import Names, find_photos
    from sortograph.classify.tally import Tally
    from sortograph.cli.predict_shown import Columns, shower

    tally, columns = Tally(), Columns(classifier.classes)
    show, meter = shower(options, columns), _meter(options, files)
    names = Names()
    photos = find_photos(options.inputs, names=names, progress=None if options.quiet else _tell)
    answers = classifier.predict_many(
        columns.widened(files.rest(photos, tally.add) if files else photos, _ahead(options)),
        top_k=options.top_k,
        threads=options.threads or cores(),
        isolate=options.isolate,
        idle=names.idle,
    )
    with closing(answers):
        for answer in answers:
            tally.add(answer)
            if meter:
                meter.step()
            show(answer)
            if files:
                files.take(answer)
    if meter:
        meter.clear()
    for told in files.finish(tally) if files else ():
        if not options.quiet:
            streams.note(streams.safe(told))
    return _outcome(tally, options)


def _ahead(options: argparse.Namespace) -> int:
    """How many photos the columns are aligned by; names on standard input may come one by one."""
    return 0 if STDOUT in options.inputs else _ALIGNED


def _meter(options: argparse.Namespace, files: Files | None) -> Meter | None:
    """None where nobody watches, or where the answers themselves show how far it is."""
    watched = sys.stderr is not None and streams.draws(sys.stderr)
    if options.quiet or not watched or streams.draws(sys.stdout):
        return None
    from sortograph.cli.meter import Meter

    return Meter(lambda: _count(options.inputs), files.before if files else 0)


def _count(inputs: list[str]) -> int | None:
    """How many photos there are; None where names come on standard input, or nothing can be told."""
    from sortograph.classify import find_photos

    if STDOUT in inputs:
        return None
    try:
        return sum(1 for _ in find_photos(inputs))
    except DataError:
        return None


def _tell(event: Event) -> None:
    streams.note(streams.safe(getattr(event, "text", "")))


def _outcome(tally: Tally, options: argparse.Namespace) -> int:
    """Tells what is wrong with the answers; the exit code. Raises DataError where there is none."""
    total, failed = tally.total, tally.failed
    if tally.withheld and not options.quiet:
        wrong = f"at most {100 * options.max_error:g} % of the others are wrong"
        streams.note(f"{tally.withheld} of {total} answers are withheld, so that {wrong}")
    if not failed:
        return 0
    if failed == total:
        what = "the photo could not be read" if total == 1 else f"none of {total} photos could be read"
        raise DataError(what)
    streams.note(f"warning: {failed} of {total} photos could not be read")
    return PARTLY


def _describe(classifier: Classifier) -> None:
    bundle, manifest = classifier.bundle, classifier.manifest
    height, width = manifest.preprocess.size
    streams.note(
        streams.safe(f"model {bundle.path}, recipe {manifest.recipe or 'unknown'}, {bundle.sha256[:16]}")
    )
    streams.note(streams.safe(f"{len(classifier.classes)} classes: {', '.join(classifier.classes)}"))
    streams.note(f"photos as {width}×{height}, temperature {manifest.temperature:g}")
