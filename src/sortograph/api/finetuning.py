"""Fine-tuning of a backbone, which is kept where it is better than the frozen one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.api.job import Job, Logits, Made, Rows
from sortograph.dataset.halves import halved
from sortograph.errors import DataError, RecipeError, counted
from sortograph.recipe import Recipe
from sortograph.records import Said

if TYPE_CHECKING:
    from sortograph.api.opening import Opened
    from sortograph.training.checkpoint import Checkpoint
    from sortograph.training.finetune import FinetuneNetwork
    from sortograph.training.heads import Chosen
    from sortograph.training.loop import Fitted, Task

_EXPORT = 20.0  # seconds that a deadline must leave: torch exports the network anew
_BATCH = 32
# Two libraries, dozens of layers in float32, and a head that makes small differences larger.
_TOLERANCE = 1e-3


def check_finetuning(recipe: Recipe, size: tuple[int, int]) -> None:
    """Raises RecipeError where [finetune] cannot work with the rest of the recipe.

    size: (H, W) of the photos that the backbone takes
    """
    settings = recipe.finetune
    wrong = []
    if len(recipe.backbone.names) > 1:
        joined = ", ".join(recipe.backbone.names)
        wrong.append(("several backbones cannot be fine-tuned together", joined, "finetune.epochs=0"))
    if recipe.train.warmup_epochs >= settings.epochs:
        warm = f"train.warmup_epochs = {recipe.train.warmup_epochs:g}"
        what = f"{counted(settings.epochs, 'epoch')} of fine-tuning leave none after the warm-up"
        wrong.append((what, warm, f"train.warmup_epochs={settings.epochs / 4:g}"))
    if settings.first_size >= min(size):
        what = f"photos of {size[0]} × {size[1]} cannot begin smaller with {settings.first_size}"
        wrong.append((what, "finetune.first_size", "finetune.first_size=0"))
    if wrong:
        raise RecipeError(
            "; ".join(what for what, _, _ in wrong),
            where=", ".join(where for _, where, _ in wrong),
            fix=" ".join(f"--set {fix}" for _, _, fix in wrong),
        )


def finetuned(job: Job, made: Made, opened: Opened, chosen: Chosen, checkpoint: Checkpoint | None) -> Made:
    """Teach the backbone further from where the frozen model stands, and give the better of the two.

    made, chosen: the frozen model and its head. The half of validation called "select" decides: the epoch,
    and whether more of its photos are named right than by the frozen model, or as many with a lower log loss.
    Without pretrained weights nothing is compared: such a frozen model has hardly learned anything.

    Raises RecipeError and DataError for what cannot be fine-tuned, GateError when the loss is no number.
    """
    check_finetuning(job.recipe, job.pixels.spec.size)
    select = _select(job, needed=opened.backbone.pretrained)
    from sortograph.training.finetune import finetune

    start, notes = _start(job, opened, chosen)
    network = _network(job, opened, start)
    if job.recipe.finetune.drop_path and not network.drops_paths:
        notes = (
            *notes,
            f"finetune.drop_path does nothing: {opened.backbone.name} has no blocks to leave out",
        )
    fitted, about = finetune(_task(job, select), network, checkpoint)
    frozen = replace(
        made, history=fitted.history, best_epoch=None, decisions=(*made.decisions, *notes), chose=select
    )
    if fitted.interrupted:
        after = f"interrupted after {counted(len(fitted.history), 'epoch')}; until it goes on, the"
        return replace(_with(frozen, f"{_what(network)}: {after} frozen head is kept"), interrupted=True)
    if not fitted.history:
        return _with(frozen, f"{_what(network)}: no epoch was over in time; the frozen head is kept")
    network.load_state_dict(fitted.weights)
    network.eval()
    verdict = _verdict(job, made, network, select) if opened.backbone.pretrained else _untaught(fitted)
    decided = _with(frozen, f"{_what(network)}: {verdict.reason}")
    job.progress(Said(decided.decisions[-1]))
    if not verdict.better:
        return decided
    return _exported(job, replace(decided, about={**made.about, **about}), opened, network, fitted)


@dataclass(frozen=True, slots=True)
class _Verdict:
    better: bool
    reason: str


def _select(job: Job, *, needed: bool) -> Rows:
    """Rows of the validation photos that choose."""
    index, rows = job.index, job.index.rows("validation")
    select, calibrate = halved(index, rows, job.recipe.split.seed) if len(rows) else (rows, rows)
    if needed and not len(select):
        raise DataError(
            f"fine-tuning is judged by half of the validation photos, and there are {len(rows)}",
            where=str(index.root),
            expected="two validation photos at the least, better some of each class",
            fix="--set split.validation=0.15, or --set finetune.epochs=0",
        )
    if len(select):
        job.progress(
            Said(
                f"fine-tuning: {len(select)} validation photos choose the epoch and whether it is kept, "
                f"{len(calibrate)} are left for calibration"
            )
        )
    return select


def _start(job: Job, opened: Opened, chosen: Chosen) -> tuple[Chosen, tuple[str, ...]]:
    """The head that fine-tuning begins with, and what is to be said about it."""
    if chosen.kind != "neighbours":
        return chosen, ()
    from sortograph.api.transfer import TransferMaker

    head = job.recipe.head.model_copy(update={"kind": "logistic"})
    recipe = job.recipe.model_copy(update={"head": head})
    maker = TransferMaker(recipe, job.progress, [opened])
    table = maker.keeper.table(job.index, job.index.rows("train"))
    note = "fine-tuning begins with a logistic head: neighbours cannot be taught"
    return maker.choose(replace(job, recipe=recipe), table), (note,)


def _network(job: Job, opened: Opened, start: Chosen) -> FinetuneNetwork:
    from sortograph.models.backbone import build_backbone
    from sortograph.training.finetune import FinetuneNetwork

    settings, mirror = job.recipe.finetune, job.recipe.backbone.mirror
    return FinetuneNetwork(build_backbone(opened.backbone), start.plan, start.state, settings, mirror=mirror)


def _task(job: Job, select: Rows) -> Task:
    from sortograph.training.finetune import phase_train
    from sortograph.training.loop import Phase, Task

    settings = job.recipe.finetune
    return Task(
        recipe=job.recipe,
        index=job.index,
        pixels=job.pixels,
        folder=job.folder / "checkpoints",
        stop=job.stop,
        progress=job.progress,
        deadline=None if job.deadline is None else job.deadline - _EXPORT,
        phase=Phase(phase_train(job.recipe), "finetune", select, settings.cutmix, settings.ema),
    )


def _what(network: FinetuneNetwork) -> str:
    count = network.stages
    if network.taught == count:
        return f"fine-tuning of all {count} stages"
    last = "the last" if network.taught == 1 else f"the last {network.taught}"
    return f"fine-tuning of {last} of {count} stages"


def _with(made: Made, decision: str) -> Made:
    return replace(made, decisions=(*made.decisions, decision))


def _untaught(fitted: Fitted) -> _Verdict:
    return _Verdict(True, f"from random weights, {counted(len(fitted.history), 'epoch')}: kept")


def _verdict(job: Job, made: Made, network: FinetuneNetwork, select: Rows) -> _Verdict:
    """Both models on the same photos, the network in float32."""
    from sortograph.training.heads.scores import log_loss

    labels = job.index.labels[select]
    tuned = _logits(job, _answers(network), select)
    frozen = made.known(select) if made.known is not None else _logits(job, made.reference, select)
    right, before = (int((logits.argmax(axis=1) == labels).sum()) for logits in (tuned, frozen))
    loss, loss_before = log_loss(tuned, labels), log_loss(frozen, labels)
    better = (right, -loss) > (before, -loss_before)
    tie = f", log loss {loss:.3f} and {loss_before:.3f}" if right == before else ""
    kept = "kept" if better else "not kept"
    return _Verdict(
        better, f"{right} of {len(select)} select photos right, frozen head {before}{tie}: {kept}"
    )


def _logits(job: Job, answer: Callable[[NDArray[np.uint8]], Logits], rows: Rows) -> Logits:
    parts = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    return np.concatenate([answer(job.pixels.evaluation(job.index, part)) for part in parts])


def _answers(network: FinetuneNetwork) -> Callable[[NDArray[np.uint8]], Logits]:
    """Photos uint8 (N, H, W, 3) → logits (N, C), by torch in float32, wherever the network is then."""
    import torch

    @torch.inference_mode()
    def run(photos: NDArray[np.uint8]) -> Logits:
        device = next(network.parameters()).device
        batch = torch.from_numpy(photos).to(device).permute(0, 3, 1, 2)
        return np.asarray(network(batch).float().cpu().numpy())

    return run


def _exported(job: Job, made: Made, opened: Opened, network: FinetuneNetwork, fitted: Fitted) -> Made:
    """The fine-tuned model. Raises GateError where its graph answers otherwise than the network."""
    import torch

    from sortograph.export.backbone import backbone_graph
    from sortograph.export.compose import compose

    network.cpu().to(memory_format=torch.contiguous_format)
    job.progress(Said("exporting the fine-tuned backbone"))
    graph = backbone_graph(network.backbone, opened.backbone)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    head = {name.removeprefix("head."): value for name, value in weights.items() if name.startswith("head.")}
    return replace(
        made,
        graph=compose([graph], network.head.plan, head, mirror=job.recipe.backbone.mirror),
        weights=weights,
        reference=_answers(network),
        known=None,
        embedded=None,
        best_epoch=fitted.best_epoch,
        tolerance=_TOLERANCE,
        scored=True,
    )
