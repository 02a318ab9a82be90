"""`predict`, on a parser of its own: it is to start as fast as the model itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sortograph.cli import streams, words
from sortograph.cli.tables import padded, percent, width
from sortograph.errors import DataError, StorageError, UsageError, nearest

if TYPE_CHECKING:
    from sortograph.classify import Classifier
    from sortograph.records import Event, Prediction

PARTLY = 6
COMMAND = f"{words.PROGRAM} predict"
_CSV = ("path", "label", "probability", "unsure", "error")
_STDOUT = "-"


def run(arguments: list[str]) -> int:
    """Parse and predict. 0 when every photo could be read, 6 when some could not; DataError when none."""
    try:
        options = _parse(arguments)
    except SystemExit:  # after --help
        return 0
    from sortograph.classify import find_photos, load

    classifier = load(options.model, max_error=options.max_error)
    if options.verbose:
        _describe(classifier)
    keepers = [keeper for keeper in (_csv_file(options), _grid(options)) if keeper]
    total, failed, withheld = 0, 0, 0
    columns = _Columns(classifier.classes)
    shower = _shower(options, columns)
    photos = columns.widened(find_photos(options.inputs, progress=None if options.quiet else _tell))
    for answer in classifier.predict_many(photos, top_k=_top_k(options)):
        total, failed = total + 1, failed + (answer.error is not None)
        withheld += answer.label is None and answer.error is None
        for take in (shower, *(keeper.take for keeper in keepers)):
            take(answer)
    for keeper in keepers:
        keeper.finish(options.quiet)
    if withheld and not options.quiet:
        wrong = f"at most {100 * options.max_error:g} % of the others are wrong"
        streams.note(f"{withheld} of {total} answers are withheld, so that {wrong}")
    return _outcome(total, failed)


def _tell(event: Event) -> None:
    streams.note(streams.safe(getattr(event, "text", "")))


def _outcome(total: int, failed: int) -> int:
    if not failed:
        return 0
    if failed == total:
        what = "the photo could not be read" if total == 1 else f"none of {total} photos could be read"
        raise DataError(what)
    streams.note(f"warning: {failed} of {total} photos could not be read")
    return PARTLY


class _Parser(argparse.ArgumentParser):
    """Complains by raising UsageError."""

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        typed = next((word for word in message.split() if word.startswith("--") and word not in known), "")
        hint = nearest(typed.partition("=")[0], known) if typed else ""
        raise UsageError(message + hint, fix=f"{COMMAND} --help")

    def _print_message(self, message: str, _file: object = None) -> None:
        streams.out(message.rstrip("\n"))


def _parser() -> _Parser:
    parser = _Parser(prog=COMMAND, description=words.PREDICT, allow_abbrev=False)
    parser.add_argument("model", metavar="MODEL", help=words.MODEL)
    parser.add_argument("inputs", metavar="PHOTOS", nargs="+", help=words.PREDICT_INPUTS)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help=words.JSON)
    forms.add_argument("--csv", nargs="?", const=_STDOUT, metavar="FILE.csv", help=words.PREDICT_CSV)
    parser.add_argument("--max-error", type=_share, metavar="SHARE", help=words.PREDICT_MAX_ERROR)
    parser.add_argument("--grid", type=Path, metavar="FILE.png", help=words.PREDICT_GRID)
    parser.add_argument("--top-k", type=int, metavar="N", help=words.PREDICT_TOP_K)
    parser.add_argument("--quiet", action="store_true", help=words.QUIET)
    parser.add_argument("--verbose", action="store_true", help=words.VERBOSE)
    parser.add_argument("--debug", action="store_true", help=words.DEBUG)
    return parser


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Raises UsageError; SystemExit after --help."""
    options = _parser().parse_intermixed_args(_with_csv_place(arguments))
    for option, suffix in (("csv", ".csv"), ("grid", ".png")):
        place = getattr(options, option)
        if place not in (None, _STDOUT) and Path(place).suffix.lower() != suffix:
            raise UsageError(
                f"--{option} writes {suffix[1:].upper()}", where=str(place), expected=f"FILE{suffix}"
            )
    if options.top_k is not None and options.top_k < 1:
        raise UsageError(f"--top-k is {options.top_k}", expected="a whole number of at least 1")
    return options


def _share(text: str) -> float:
    """
    >>> _share("2%"), _share("0.02")
    (0.02, 0.02)
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageError(
            f"--max-error is {text}",
            expected="a share of wrong answers, such as 2% or 0.02",
            fix=f"{COMMAND} --help",
        )
    return value


def _with_csv_place(arguments: list[str]) -> list[str]:
    """`--csv` takes the next word only if it names a CSV file: it must never write over a photo."""
    ends = [*arguments[1:], ""]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        f"--csv={_STDOUT}" if word == "--csv" and k < end and not after.lower().endswith(".csv") else word
        for k, (word, after) in enumerate(zip(arguments, ends, strict=False))
    ]


def _top_k(options: argparse.Namespace) -> int:
    if options.top_k is not None:
        return int(options.top_k)
    return 5 if options.json else 1


def _describe(classifier: Classifier) -> None:
    bundle, manifest = classifier.bundle, classifier.manifest
    height, width_ = manifest.preprocess.size
    streams.note(
        streams.safe(f"model {bundle.path}, recipe {manifest.recipe or 'unknown'}, {bundle.sha256[:16]}")
    )
    streams.note(streams.safe(f"{len(classifier.classes)} classes: {', '.join(classifier.classes)}"))
    streams.note(f"photos as {width_}×{height}, temperature {manifest.temperature:g}")


def _shower(options: argparse.Namespace, columns: _Columns) -> Callable[[Prediction], None]:
    """What prints one answer on stdout."""
    if options.json:
        return lambda answer: streams.out_json(answer.to_json())
    if options.csv == _STDOUT:
        header = _csv_header(_top_k(options))
        _out_csv(header)
        return lambda answer: _out_csv(_csv_row(answer, len(header)))
    return columns.show


class _Columns:
    """Path, label, probability, aligned as far as can be told before all photos are known."""

    def __init__(self, classes: Iterable[str]) -> None:
        self._path = 0
        self._label = max(width(streams.safe(name)) for name in classes)

    def widened(self, photos: Iterable[Path]) -> Iterator[Path]:
        """The photos again; the model takes them some batches ahead of its answers."""
        for photo in photos:
            self._path = max(self._path, width(streams.safe(str(photo))))
            yield photo

    def show(self, answer: Prediction) -> None:
        path = streams.safe(answer.path)
        streams.out(f"{padded(path, self._path)}  {streams.safe(self._told(answer))}")

    def _told(self, answer: Prediction) -> str:
        if answer.error is not None:
            return f"error: {answer.error}"
        shown = answer.top_k or ((answer.label or "", answer.probability or 0.0),)
        if answer.label is None:
            return f"unsure: {answer.unsure or 'withheld'}  ({_pair(*shown[0], 0)})"
        ranked = "  ".join(_pair(label, share, self._label) for label, share in shown)
        return f"{ranked}  unsure: {answer.unsure}" if answer.unsure else ranked


def _pair(label: str, share: float, columns: int) -> str:
    return f"{padded(label, max(columns, width(label)))}  {percent(share):>7}"


def _csv_header(top_k: int) -> tuple[str, ...]:
    more = (f"{name}_{rank}" for rank in range(2, top_k + 1) for name in ("label", "probability"))
    return (*_CSV, *more)


def _csv_row(answer: Prediction, columns: int) -> tuple[object, ...]:
    share = "" if answer.probability is None else f"{answer.probability:.6f}"
    row: list[object] = [answer.path, answer.label or "", share, answer.unsure or "", answer.error or ""]
    row += chain.from_iterable((label, f"{p:.6f}") for label, p in answer.top_k[1:])
    return (*row, *[""] * (columns - len(row)))


def _out_csv(row: tuple[object, ...]) -> None:
    import sys

    from sortograph.files import csv_text

    line = csv_text(("-",), [row]).partition("\n")[2].removesuffix("\n")
    streams.out(streams.safe(line, keep="\n") if streams.draws(sys.stdout) else line)


class _CsvFile:
    """The answers in a file of their own, written when all are known."""

    def __init__(self, options: argparse.Namespace) -> None:
        from sortograph.files import make_folder

        self._place, self._header = Path(options.csv), _csv_header(_top_k(options))
        self._rows: list[tuple[object, ...]] = []
        _refuse_foreign(self._place)
        _refuse_among(options.inputs, self._place, "--csv")
        make_folder(self._place.parent)

    def take(self, answer: Prediction) -> None:
        self._rows.append(_csv_row(answer, len(self._header)))

    def finish(self, quiet: bool) -> None:
        from sortograph.files import write_csv

        write_csv(self._place, self._header, self._rows)
        if not quiet:
            streams.note(streams.safe(f"table: {self._place}"))


class _Grid:
    """The photos with their answers, drawn when all are known."""

    def __init__(self, options: argparse.Namespace) -> None:
        from sortograph.api.writing import picture_file

        self._place = picture_file(options.grid)  # which may not be a photo, as in `--grid *.png`
        _refuse_among(options.inputs, self._place, "--grid")
        self._answers: list[Prediction] = []

    def take(self, answer: Prediction) -> None:
        if answer.label is not None:
            self._answers.append(answer)

    def finish(self, quiet: bool) -> None:
        from sortograph.api.predicting import GRID_PHOTOS, prediction_grid

        drawn, count = prediction_grid(self._answers, self._place), len(self._answers)
        if quiet:
            return
        some = f" (the first {GRID_PHOTOS} of {count} photos)" if count > GRID_PHOTOS else ""
        streams.note(
            streams.safe(f"grid: {drawn}{some}") if drawn else "no grid is drawn: no photo could be read"
        )


def _csv_file(options: argparse.Namespace) -> _CsvFile | None:
    return None if options.csv in (None, _STDOUT) else _CsvFile(options)


def _grid(options: argparse.Namespace) -> _Grid | None:
    return None if options.grid is None else _Grid(options)


def _refuse_among(inputs: Iterable[str], place: Path, by: str) -> None:
    """Nothing is written into a folder of photos that was given. Raises UsageError."""
    from sortograph.api.writing import check_place

    for given in inputs:
        check_place(Path(given), place, by=by)


def _refuse_foreign(place: Path) -> None:
    """Only a table that this command wrote may be replaced. Raises StorageError."""
    if not place.exists():
        return
    from sortograph.files import storage_errors

    with storage_errors(place), place.open("rb") as file:
        start = file.read(200)
    if not start.startswith(",".join(_CSV).encode()):
        raise StorageError(
            "a file that is no table of predictions is in the way",
            where=str(place),
            fix="choose another name, or move it away",
        )
