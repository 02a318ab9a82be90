"""A task and a plan → fitted weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from sortograph.loading.augment import Augmenter
from sortograph.loading.batches import Augment, BatchPlan, Size, TrainingBatches
from sortograph.models import Network, Plan, build
from sortograph.records import PreprocessSpec
from sortograph.training.checkpoint import Checkpoint
from sortograph.training.device import describe, keep_memory, threads
from sortograph.training.loop import Fitted, Task, Trainer, Weights

if TYPE_CHECKING:
    from sortograph.training.loop import Taught


def fit(task: Task, plan: Plan, checkpoint: Checkpoint | None = None) -> tuple[Fitted, Mapping[str, Any]]:
    """Train the network of `plan` from its first weights, or from where a checkpoint stands.

    Returns the weights that are kept, and where and how they were computed, for the record of the run.
    Raises GateError when the loss is no number, StorageError when a checkpoint cannot be written.
    """
    recipe, spec = task.recipe, task.pixels.spec
    network = build(plan, spec, recipe.model.initialisation, recipe.train.seed)
    return teach(task, network, Augmenter(recipe.augment, spec.size), checkpoint=checkpoint)


def teach(
    task: Task,
    network: Taught,
    augment: Augment,
    *,
    sides: Callable[[int], Size] | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Fitted, Mapping[str, Any]]:
    """`fit` for a network with its first weights, which is changed.

    augment: how training photos are varied; sides: epoch → (H, W) of training photos, where it is not theirs
    """
    keep_memory()
    train, index = task.recipe.train, task.index
    with threads(train.threads):
        accelerator = Accelerator()
        batches = TrainingBatches(
            lambda rows: task.pixels.training(index, rows),
            index.rows("train"),
            index.labels,
            augment,
            BatchPlan(train.batch_size, train.seed, accelerator.device, sides),
        )
        trainer = Trainer(task, network, batches, accelerator)
        if checkpoint is not None:
            trainer.resume(checkpoint)
        return trainer.run(), describe(trainer.device, trainer.dtype)


def reference(
    plan: Plan, spec: PreprocessSpec, weights: Weights
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The network in float32 on the CPU: photos uint8 (N, H, W, 3) → logits (N, C)."""
    network = Network(plan, spec)
    network.load_state_dict(weights)
    network.eval()

    @torch.inference_mode()
    def run(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(network(torch.from_numpy(photos).permute(0, 3, 1, 2).float()).numpy())

    return run
