"""Fine-tuning: a backbone and its head as one network, taught further from where the head stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sortograph.errors import RecipeError
from sortograph.loading.augment import Augmenter
from sortograph.loading.batches import Augment, Size
from sortograph.models.layers import EPSILON, Activation, BatchNorm, Dense, Dropout
from sortograph.recipe import Finetune, Recipe, Train
from sortograph.training.checkpoint import Checkpoint
from sortograph.training.fit import teach
from sortograph.training.loop import Fitted, Task
from sortograph.training.optim import Part
from sortograph.training.stochastic_depth import set_drop_path

if TYPE_CHECKING:
    from sortograph.models.embedding import EmbeddingNetwork
    from sortograph.models.head import HeadPlan

_STEP = 32  # sides of photos that grow are multiples of it: no network here shrinks them by more
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}
State = Mapping[str, NDArray[Any]]


class HeadNetwork(nn.Module):
    """The layers of a head: embeddings (N, D) → logits (N, C). Raises RecipeError for one of neighbours."""

    def __init__(self, plan: HeadPlan) -> None:
        super().__init__()
        self.plan = plan
        for layer in plan.layers:
            match layer:
                case Dense():
                    # Made on the "meta" device, it draws no random numbers.
                    linear = nn.Linear(layer.inputs, layer.units, device="meta")
                    self.add_module(layer.name, linear.to_empty(device="cpu"))
                case BatchNorm():
                    module = nn.BatchNorm1d(layer.channels, eps=EPSILON, momentum=layer.momentum)
                    self.add_module(layer.name, module)
                case Activation() | Dropout():
                    pass
                case _:
                    raise RecipeError("a head of neighbours cannot be taught", fix="--set head.kind=logistic")

    def start(self, state: State) -> None:
        """Take over the arrays that the plan names."""
        given = {name: torch.from_numpy(np.array(state[name])) for name in self.plan.weights()}
        self.load_state_dict({**self.state_dict(), **given})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.plan.layers:
            match layer:
                case Dense(name=name) | BatchNorm(name=name):
                    x = self.get_submodule(name)(x)
                case Activation(kind=kind):
                    x = _ACTIVATIONS[kind](x)
                case Dropout(rate=rate):
                    x = F.dropout(x, rate, self.training)
        return x


class FinetuneNetwork(nn.Module):
    """A backbone and a head, of which the last stages and the head are taught.

    plan, state: of the head and its first weights
    mirror: in evaluation mode, the embedding is the mean of the photo's and its mirror image's

    Whatever is drawn in a step of training, such as dropout and stochastic depth, is a function of
    `dropout_seed`; torch's global generator stays as it is.
    """

    dropout_seed = 0

    def __init__(
        self,
        backbone: EmbeddingNetwork,
        plan: HeadPlan,
        state: State,
        settings: Finetune,
        *,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.mirror = backbone, HeadNetwork(plan), mirror
        self.head.start(state)
        self.drops_paths = bool(set_drop_path(backbone, settings.drop_path))
        self._decay = settings.layer_decay
        self._stages = _weights_by_stage(backbone)
        self.taught = min(settings.blocks or len(self._stages), len(self._stages))
        for stage in self._stages[: len(self._stages) - self.taught]:
            for weight in stage:
                weight.requires_grad_(False)
        self._resting = list(_resting(backbone, settings.batch_norm == "frozen", False))
        self.to(memory_format=torch.channels_last)

    @property
    def stages(self) -> int:
        """How many the backbone has."""
        return len(self._stages)

    def forward(self, photos: Tensor) -> Tensor:
        """Logits, float32 (N, C). photos: (N, 3, H, W), uint8 or float32 in 0–255"""
        if not self.training:
            return self._logits(self.embed(photos))
        with _seeded(self.dropout_seed, photos.device):
            return self._logits(self.backbone(photos))

    def embed(self, photos: Tensor) -> Tensor:
        """Embeddings (N, D) as they are in use."""
        made: Tensor = self.backbone(photos)
        return (made + self.backbone(photos.flip(3))) / 2 if self.mirror else made

    def _logits(self, embeddings: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.head(embeddings.float())
        return logits

    def train(self, mode: bool = True) -> FinetuneNetwork:
        super().train(mode)
        for module in self._resting:
            module.training = False
        return self

    def parts(self) -> list[Part]:
        """The head and the stages that are taught, the last of them at the same rate as the head."""
        taught = self._stages[-self.taught :]
        first = len(self._stages) - len(taught) + 1
        parts = [
            Part(f"stage{first + number}", self._decay ** (len(taught) - 1 - number), tuple(weights))
            for number, weights in enumerate(taught)
        ]
        return [*parts, Part("head", 1.0, tuple(self.head.parameters()))]


def finetune(
    task: Task, network: FinetuneNetwork, checkpoint: Checkpoint | None = None
) -> tuple[Fitted, Mapping[str, Any]]:
    """Teach the network, which is changed, as the task's phase and recipe say.

    Returns the weights that are kept, and where and how they were computed, for the record of the run.
    Raises RecipeError for a network that cannot see photos of finetune.first_size, GateError when the loss is
    no number, StorageError when a checkpoint cannot be written.
    """
    settings, size = task.recipe.finetune, task.pixels.spec.size
    augment: Augment = Augmenter(task.recipe.augment, size)
    if settings.policy != "none":
        from sortograph.loading.policies import PolicyAugmenter

        augment = PolicyAugmenter(settings.policy, augment)
    if not settings.first_size:
        return teach(task, network, augment, checkpoint=checkpoint)

    def sides(epoch: int) -> Size:
        return grown(settings.first_size, size, epoch, settings.epochs)

    _check_size(network, sides(1))
    return teach(task, network, augment, sides=sides, checkpoint=checkpoint)


def phase_train(recipe: Recipe) -> Train:
    """The [train] section as it is for fine-tuning: its epochs and learning rate are those of [finetune]."""
    own = {"epochs": recipe.finetune.epochs, "learning_rate": recipe.finetune.learning_rate}
    return recipe.train.model_copy(update=own)


def grown(first: int, size: Size, epoch: int, epochs: int) -> Size:
    """(H, W) of the photos of an epoch, from 1: the shorter side grows evenly from `first` to the full one.

    Below the full size, sides are multiples of 32.

    >>> [grown(96, (224, 224), epoch, 5) for epoch in (1, 2, 3, 4, 5)]
    [(96, 96), (128, 128), (160, 160), (192, 192), (224, 224)]
    """
    short = min(size)
    done = 1.0 if epochs == 1 else min(1.0, (epoch - 1) / (epochs - 1))
    share = (first + (short - first) * done) / short
    if share >= 1:
        return size
    height, width = (min(side, _STEP * max(1, math.floor(side * share / _STEP + 0.5))) for side in size)
    return height, width


def _check_size(network: FinetuneNetwork, size: Size) -> None:
    """Networks that look at patches in fixed places take photos of one size alone."""
    network.eval()
    weight = next(network.parameters())
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, *size, device=weight.device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise RecipeError(
            f"the backbone cannot see photos of {size[0]} × {size[1]} ({str(error).strip().splitlines()[0]})",
            where="finetune.first_size",
            expected="a network that takes photos of any size",
            fix="--set finetune.first_size=0",
        ) from None


def _weights_by_stage(backbone: EmbeddingNetwork) -> list[list[nn.Parameter]]:
    """Parameters from the input to the output; those in no stage count with the first."""
    stages = [
        [weight for module in stage for weight in module.parameters(recurse=False)]
        for stage in backbone.stages()
    ]
    known = {id(weight) for stage in stages for weight in stage}
    others = [weight for weight in backbone.parameters() if id(weight) not in known]
    return [[*others, *stages[0]], *stages[1:]]


def _resting(module: nn.Module, frozen_norms: bool, parent: bool) -> Iterator[nn.Module]:
    """Modules that stay in evaluation mode: those without a weight that is taught, and frozen batch norms."""
    weights = list(module.parameters())
    taught = any(weight.requires_grad for weight in weights) if weights else parent
    is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
    if not taught or (frozen_norms and is_norm):
        yield module
    for child in module.children():
        yield from _resting(child, frozen_norms, taught)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's generators as if just seeded; afterwards they are as before."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield
