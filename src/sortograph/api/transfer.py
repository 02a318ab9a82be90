"""Transfer learning: backbones that others have taught, embeddings that are kept, and a head on top."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sortograph.api.finetuning import check_finetuning, finetuned
from sortograph.api.fitting import fitted
from sortograph.api.job import Job, Made, Rows
from sortograph.api.networks import check_labels
from sortograph.api.opening import Meanwhile, Opened, open_backbone
from sortograph.api.timing import ENDLESS, Budget, reserve
from sortograph.dataset.halves import halved
from sortograph.errors import RecipeError, counted
from sortograph.export.compose import compose
from sortograph.features import Embedder, FeatureKeeper, GraphEmbedder
from sortograph.loading.pixels import PhotoPixels
from sortograph.models.accelerated import may_have_gpu, torch_embedder
from sortograph.models.head import answer
from sortograph.recipe import Pixels, Recipe
from sortograph.records import DatasetIndex, FeatureTable, PreprocessSpec, Progress, Said
from sortograph.training.heads import Chosen, HeadTask, choose_head
from sortograph.training.heads.folds import folds

if TYPE_CHECKING:
    from sortograph.training.checkpoint import Checkpoint

_VIEWS = 0.6  # of the time that is left, for augmented views; the rest is for the head
_UNSCORED = ("random weights: nothing is judged",)
Views = NDArray[np.float32]


class TransferMaker:
    """Finds a head on the embeddings of the recipe's backbones, then teaches the backbone where it is asked.

    Raises RecipeError for backbones that see photos of different sizes, and where `open_backbone` does.
    """

    def __init__(
        self,
        settings: Recipe,
        progress: Progress,
        opened: Sequence[Opened] | None = None,
        budget: Budget = ENDLESS,
        meanwhile: Meanwhile | None = None,
    ) -> None:
        choice = settings.backbone
        if opened is None:
            opened = [
                open_backbone(
                    name,
                    settings=choice,
                    pixels=settings.pixels,
                    progress=progress,
                    seed=settings.train.seed,
                    meanwhile=meanwhile,
                )
                for name in choice.names
            ]
        self.opened = tuple(opened)
        spec = _one_spec([one.backbone.preprocess for one in self.opened], choice.names)
        embedders = [_embedder(one, choice.mirror) for one in self.opened]
        self._is_exact = all(isinstance(one, GraphEmbedder) for one in embedders)
        self.keeper = FeatureKeeper(embedders, precision=choice.precision, progress=progress)
        self.keeper.until, self._budget = budget.reading, budget
        self.notes: list[str] = []  # what there was no time for
        self._progress = progress
        self.pixels = PhotoPixels(spec, 1 + settings.augment.zoom, progress)
        if settings.finetune.epochs:
            check_finetuning(settings, spec.size)
        names = tuple(one.backbone.name for one in self.opened)  # what an alias stands for today
        self.settings = settings.model_copy(
            update={
                "backbone": choice.model_copy(update={"names": names}),
                "pixels": Pixels.of(spec),  # a recipe that is read again has no values that were not set
            }
        )

    def flush(self) -> None:
        self.keeper.flush()

    def check(self, index: DatasetIndex) -> None:
        check_labels(self.settings, index)

    def within(self, index: DatasetIndex) -> DatasetIndex:
        """Embeds until the time is up; see `fitted`."""
        if (late := self._budget.embedding) is None:
            return index
        seed, views = self.settings.split.seed, self.settings.backbone.views
        found = fitted(index, self.keeper, late, seed=seed, views=views)
        self.notes += found.lines
        for line in found.lines:
            if line not in found.index.notes:  # which are told with the others
                self._progress(Said(line))
        return found.index

    def make(self, job: Job, checkpoint: Checkpoint | None) -> Made:
        """Raises GateError when a loss is no number."""
        late = None if job.deadline is None else job.deadline - reserve(job)
        job = replace(job, recipe=self.settings, deadline=late)
        table = self.keeper.table(job.index, np.arange(len(job.index)))
        chosen = self.choose(job, table)
        made = self.composed(job, table, chosen)
        if not job.recipe.finetune.epochs:
            return made
        return finetuned(job, made, self.opened[0], chosen, checkpoint)

    def choose(self, job: Job, table: FeatureTable) -> Chosen:
        """The best head for the training photos, by cross-validation among them alone."""
        recipe, index = job.recipe, job.index
        rows = index.rows("train")
        task = HeadTask(
            features=self._taught(job, table, rows),
            labels=index.labels[rows],
            classes=len(index.classes),
            folds=folds(index, rows, recipe.head.folds, recipe.train.seed),
            settings=recipe.head,
            train=recipe.train,
            validation=_watched(job, table),
            blocks=self.keeper.widths,
            progress=job.progress,
            stop=job.stop,
            deadline=job.deadline,
        )
        return choose_head(task)

    def _taught(self, job: Job, table: FeatureTable, rows: Rows) -> Views:
        """Embeddings of the training photos, (N, D), or with their augmented views (V + 1, N, D)."""
        plain = table.of(rows)
        views = job.recipe.backbone.views
        if not views:
            return plain
        from sortograph.api.views import view_key, view_pixels

        augmented = self.keeper.embed_views(
            job.index,
            rows,
            view_pixels(job),
            view_key(job.recipe),
            range(1, views + 1),
            None if job.deadline is None else time.monotonic() + _VIEWS * job.left,
        )
        if len(augmented) < views:
            told = f"{len(augmented)} of {counted(views, 'augmented view')} of each photo fit into the budget"
            self.notes.append(told)
            self._progress(Said(told))
        return np.concatenate([plain[None], augmented])

    def _exact(self, job: Job, chosen: Chosen) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Photos → logits, embedded by the exported graphs, wherever the embeddings of training came from."""
        mirror = job.recipe.backbone.mirror
        graphs = [GraphEmbedder(one.graph, one.backbone.preprocess, mirror=mirror) for one in self.opened]

        def logits(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
            joined = np.concatenate([graph.embed(photos) for graph in graphs], axis=1)
            return answer(chosen.plan, chosen.state, joined)

        return logits

    def composed(self, job: Job, table: FeatureTable, chosen: Chosen) -> Made:
        """The finished model of backbones and head."""
        recipe = job.recipe

        def known(rows: Rows) -> NDArray[np.float32]:
            return answer(chosen.plan, chosen.state, table.of(rows))

        exact = self._is_exact and recipe.backbone.precision == "float32"
        scored = all(one.backbone.pretrained for one in self.opened)
        graph = compose(
            [one.graph for one in self.opened], chosen.plan, chosen.state, mirror=recipe.backbone.mirror
        )
        return Made(
            recipe=recipe,
            graph=graph,
            weights={f"head.{name}": np.ascontiguousarray(value) for name, value in chosen.state.items()},
            reference=self._exact(job, chosen),
            pixels=self.pixels,
            known=known if exact else None,  # else the graph is asked, which is what is shipped
            embedded=table.of if exact else None,
            chose=_select(job),
            history=chosen.history,
            best_epoch=chosen.best_epoch,
            about={
                "backbones": [_about(one) for one in self.opened],
                "embedded_by": [one.key for one in self.keeper.embedders],
            },
            licence=_licence(self.opened),
            interrupted=chosen.interrupted,
            decisions=(*self.notes, *(_told(chosen) if scored else _UNSCORED)),
            rungs=chosen.rungs if scored else (),
            scored=scored,
        )


def _embedder(one: Opened, mirror: bool) -> Embedder:
    """A GPU where there is one; torch is not imported to find that there is none."""
    if may_have_gpu() and (found := torch_embedder(one.backbone, mirror=mirror)) is not None:
        return found
    return GraphEmbedder(one.graph, one.backbone.preprocess, mirror=mirror)


def _one_spec(specs: Sequence[PreprocessSpec], names: Sequence[str]) -> PreprocessSpec:
    keys = [spec.resize_key() for spec in specs]
    if len(set(keys)) > 1:
        told = ", ".join(f"{name} {key}" for name, key in zip(names, keys, strict=True))
        size = max(spec.size[0] for spec in specs)
        raise RecipeError(
            f"backbones that see photos differently cannot be joined: {told}",
            where="backbone.names",
            expected="one size and one way of resizing for all",
            fix=f"--set pixels.size={size} --set pixels.resize=squash --set pixels.interpolation=bilinear",
        )
    return specs[0]


def _select(job: Job) -> Rows:
    """Validation photos that choose: half of them where a head has epochs, else none."""
    rows = job.index.rows("validation")
    if job.recipe.head.kind != "mlp" or not len(rows):
        return rows[:0]
    return halved(job.index, rows, job.recipe.split.seed)[0]


def _watched(job: Job, table: FeatureTable) -> tuple[Views, Rows] | None:
    """Embeddings and labels of the validation photos that choose; None where nothing chooses by them."""
    select = _select(job)
    if not len(select):
        return None
    left = len(job.index.rows("validation")) - len(select)
    job.progress(
        Said(f"validation is halved: {len(select)} photos choose the epoch, {left} are left for calibration")
    )
    return table.of(select), job.index.labels[select]


def _about(one: Opened) -> dict[str, Any]:
    backbone = one.backbone
    return {
        "name": backbone.name,
        "weights": backbone.weights,
        "licence": backbone.licence or "unknown",
        "origin": backbone.origin,
        "features": backbone.features,
        "parameters": backbone.parameters,
    }


def _licence(opened: Sequence[Opened]) -> str:
    return "; ".join(dict.fromkeys(one.backbone.licence or "unknown" for one in opened))


def _told(chosen: Chosen) -> tuple[str, ...]:
    best = chosen.rungs[0]
    stopped = ("the search for a head was stopped: the best so far is kept",) if chosen.interrupted else ()
    if best.score is None:
        return (f"head: {best.title()}", *stopped)
    others = len(chosen.rungs) - 1
    line = (
        f"head: {best.title()}, {100 * best.score:.1f} % {best.metric.replace('_', ' ')} in "
        f"{best.folds}-fold cross-validation within train, the best of {others + 1}"
    )
    return (line, *stopped)
