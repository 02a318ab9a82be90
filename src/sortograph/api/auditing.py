"""audit: what is wrong with a folder of photos, before an hour is spent on training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sortograph.api.embedding import Source, named_source, source_at_hand
from sortograph.api.reading import Photos, aligned, read_photos, with_classes
from sortograph.api.telling import tell_notes
from sortograph.api.writing import check_place, page_file
from sortograph.auditing.likely import find_likely
from sortograph.auditing.run import run_audit
from sortograph.auditing.view import AuditView
from sortograph.cores import cores
from sortograph.errors import PhotoError, UsageError, counted
from sortograph.files import make_folder
from sortograph.images.archive import is_archive
from sortograph.images.decode import decode
from sortograph.images.inspect import read_photo
from sortograph.recipe import DEFAULT, Recipe, load_recipe
from sortograph.records import AuditResult, DatasetIndex, Progress, Said, silent

_THUMBNAIL = 160  # what is decoded at the least; jpeg_thumbnail decides how large it becomes


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found in which photos; `page` and `plan` are None where none was written."""

    result: AuditResult
    index: DatasetIndex
    page: Path | None = None
    plan: Path | None = None

    def to_json(self) -> dict[str, object]:
        return {
            **self.result.to_json(),
            "page": None if self.page is None else self.page.as_posix(),
            "plan": None if self.plan is None else self.plan.as_posix(),
            "notes": list(self.index.notes),
        }


def audit(
    photos: str | os.PathLike[str],
    *,
    recipe: str = DEFAULT,
    overrides: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    quick: bool = False,
    page: str | os.PathLike[str] | None = None,
    fix: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Audited:
    """Look for what would spoil a classifier: broken files, duplicates, leaks, wrong labels, shortcuts.

    recipe, overrides, classes: as `train` has them; they decide the splits
    model: a run, a model.onnx or the name of a backbone, whose embeddings tell wrong labels and likely
        duplicates; None for the best backbone that lies on this machine, if there is one
    quick: without what needs embeddings, and without the search for likely duplicates
    page: an HTML file with the findings and thumbnails of their photos
    fix: a JSON file for the plan of what to move to quarantine (see `quarantine`)

    Nothing among the photos is changed. Raises DataError when the photos cannot be listed, UsageError for
    a page or a plan among the photos and for unknown backbones, RecipeError, BundleError, WeightsError,
    MissingExtra, StorageError.
    """
    source, settings = Path(photos), load_recipe(recipe, overrides)
    if classes is not None:
        settings = with_classes(settings, classes)
    page_target = None if page is None else page_file(Path(page))
    plan_target = None if fix is None else _plan_file(source, Path(fix))
    for place, option in ((page_target, "--page"), (plan_target, "--fix")):
        if place is not None:
            check_place(source, place, by=option)
    if plan_target is not None and source.is_file():  # a table: its photos lie in its folder
        check_place(source.parent, plan_target, by="--fix")
    network = Source(None) if quick else _source(model, settings, progress)  # refused before photos are read
    keeper = network.keeper
    read = read_photos(source, _searching(settings), progress, keeper=keeper, for_training=False)
    tell_notes(read.index, progress)
    if model is not None and not quick:
        _warn_of_own_photos(read.index, Path(model), progress)
    view = _quick_view(read) if quick else _view(read, network, progress)
    result = run_audit(view, quick=quick, progress=progress)
    if plan_target is not None and not _write_plan(read.index, result, plan_target, progress):
        plan_target = None
    if page_target is not None:
        _write_page(read.index, result, page_target, _next(result, source, plan_target))
    return Audited(result, read.index, page_target, plan_target)


def quick_audit(read: Photos, progress: Progress) -> AuditResult:
    """What `train` looks at on its way: everything that needs no features."""
    return run_audit(_quick_view(read), quick=True, progress=progress)


def _searching(settings: Recipe) -> Recipe:
    """Near duplicates are looked for, whatever the recipe says of them."""
    split = settings.split.model_copy(update={"near_duplicates": "together"})
    return settings.model_copy(update={"split": split})


def _source(model: str | os.PathLike[str] | None, settings: Recipe, progress: Progress) -> Source:
    if model is None:
        return source_at_hand(settings, progress)
    return named_source(Path(model), settings, progress)


def _quick_view(read: Photos) -> AuditView:
    return AuditView(read.index, read.large, read.given)


def _view(read: Photos, network: Source, progress: Progress) -> AuditView:
    index, features = read.index, None
    if network.keeper is not None:
        network.keeper.flush()
        features = network.keeper.table(index, np.arange(len(index)))
    likely = find_likely(index, features, lambda rows: aligned(index, rows), progress)
    return AuditView(index, read.large, read.given, likely, features, network.why)


def _warn_of_own_photos(index: DatasetIndex, model: Path, progress: Progress) -> None:
    """A network that was trained with these labels has learned the wrong ones, too."""
    from sortograph import runs
    from sortograph.api.placing import run_index

    if not (model.is_dir() and (model / "run.json").is_file()):
        return
    of_run = run_index(runs.read_run(model))
    taught = {of_run.sha256[row] for row in of_run.rows("train")}
    if seen := sum(content in taught for content in index.sha256):
        photos = f"{seen} of {counted(len(index), 'photo')}"
        progress(
            Said(
                f"the model was trained on {photos} with these labels: wrong labels that it has learned are "
                "found less surely",
                warning=True,
            )
        )


def _plan_file(photos: Path, path: Path) -> Path:
    from sortograph.moving import check_unused

    if path.suffix.lower() != ".json":
        raise UsageError(f"a plan named {path.name!r}", expected="a file name that ends in .json")
    if is_archive(photos):
        raise UsageError(
            "a plan for photos in an archive",
            where=str(photos),
            expected="a folder: archives are read in place and never changed",
            fix="unpack it, and audit the folder",
        )
    check_unused(path)
    return path


def _write_plan(index: DatasetIndex, result: AuditResult, target: Path, progress: Progress) -> bool:
    """False where there is nothing to plan."""
    from sortograph.moving import Aside, make_plan, write_plan

    asides = [
        Aside(path, finding.check, finding.message)
        for finding in result.findings
        for path in finding.set_aside
    ]
    if not asides:
        progress(Said("nothing is to be set aside: no plan is written"))
        return False
    plan = make_plan(index.root, asides)
    for left in plan.left_out:
        progress(Said(f"not in the plan: {left.path} ({left.reason})", warning=True))
    write_plan(plan, target)
    progress(Said(f"the plan would move {counted(len(plan.photos), 'photo')} to {plan.to}"))
    return True


def _write_page(index: DatasetIndex, result: AuditResult, target: Path, command: str) -> None:
    from sortograph.reporting.audit_page import AuditPage, write_audit_page

    make_folder(target.parent)
    name = index.root.name or index.root.resolve().name
    view = AuditPage(result, index, lambda paths: _thumbnails(index, paths), name, command)
    write_audit_page(view, target)


def _thumbnails(index: DatasetIndex, paths: Sequence[str]) -> dict[str, bytes]:
    """Small JPEGs of those photos that can be read."""
    with ThreadPoolExecutor(cores()) as pool:
        made = pool.map(lambda path: _thumbnail(index.root, path), paths)
        return {path: data for path, data in zip(paths, made, strict=True) if data}


def _thumbnail(root: Path, path: str) -> bytes:
    from sortograph.reporting.audit_page import jpeg_thumbnail

    try:
        return jpeg_thumbnail(decode(read_photo(root, path), at_least=(_THUMBNAIL, _THUMBNAIL)))
    except PhotoError:
        return b""


def _next(result: AuditResult, photos: Path, plan: Path | None) -> str:
    if plan is not None:
        return f"sortograph quarantine apply {plan.name}"
    if is_archive(photos) or not any(finding.set_aside for finding in result.findings):
        return "sortograph train PHOTOS"
    return "sortograph audit PHOTOS --fix plan.json"
