"""What a recipe may say, section by section."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from sortograph.records import PreprocessSpec

_MOST_SIDE = 2048
# Recipes name run folders. A letter or digit first: neither an option nor a hidden folder nor "..".
SAFE_NAME = re.compile(r"[^\W_][\w.+-]{0,79}")
SAFE_NAME_IS = "up to 80 letters, digits and . _ + -, the first a letter or digit"

Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=8, le=_MOST_SIDE)]
Triple = tuple[float, float, float]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(_Section):
    """classes: their order in the outputs; empty for natural order. follow_links: into linked folders."""

    classes: tuple[str, ...] = ()
    follow_links: bool = False


def _pattern(text: str) -> str:
    """A regular expression with a group in it, or nothing."""
    if not text:
        return text
    try:
        found = re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
    if not found.groups:
        raise ValueError("a regular expression without a group in parentheses, such as (house[0-9]+)")
    return text


class Split(_Section):
    """What is cut where a folder has no splits of its own: shares of all photos.

    group_from: a regular expression; photos whose paths agree in its first group stay on one side of each cut
    near_duplicates: whether photos that show the same stay on one side, too
    reserve: keep the choosing half of the validation photos out of calibration even where this run chooses
        nothing by them, so that they may choose among runs
    """

    seed: Seed = 0
    validation: Share = 0.15
    test: Share = 0.15
    group_from: Annotated[str, AfterValidator(_pattern)] = ""
    near_duplicates: Literal["together", "ignored"] = "together"
    reserve: bool = False

    @model_validator(mode="after")
    def _leaves_something(self) -> Split:
        if self.validation + self.test >= 0.95:
            raise ValueError("validation and test leave less than 5 % to train on")
        return self


def _kind_of_size(value: Any) -> str:
    return "sides" if isinstance(value, list | tuple) else "side"


# The tags choose one branch: without them, each mistake would be told once for each branch.
Size = Annotated[
    Annotated[Side, Tag("side")] | Annotated[tuple[Side, Side], Tag("sides")], Discriminator(_kind_of_size)
]


class Pixels(_Section):
    """size: side in pixels, or [height, width]. What follows is the arithmetic inside the model.

    A backbone brings its own: of this section, only size, resize, interpolation and crop_share count then,
    where a recipe sets them.
    """

    size: Size = 180
    resize: Literal["squash", "crop", "pad"] = "squash"
    interpolation: Literal["bilinear", "bicubic", "lanczos", "box", "nearest"] = "bilinear"
    crop_share: Annotated[float, Field(ge=0.1, le=1)] = 1.0
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _is_possible(self) -> Pixels:
        self.spec()
        low, high = self.value_range
        if not low < high:
            raise ValueError("value_range must rise, as in [0.0, 1.0]")
        return self

    def spec(self) -> PreprocessSpec:
        """Raises ValueError when a number is out of range."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return PreprocessSpec(
            size=(height, width),
            mode=self.resize,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            value_range=self.value_range,
            crop_share=self.crop_share,
        )

    @classmethod
    def of(cls, spec: PreprocessSpec) -> Pixels:
        """The section that says what a spec does."""
        given = {"mode": "resize"}
        return cls(**{given.get(name, name): value for name, value in spec.to_json().items()})

    def over(self, spec: PreprocessSpec) -> PreprocessSpec:
        """The preprocess of a backbone, with what this section sets about size and resizing."""
        changes: dict[str, Any] = {
            {"resize": "mode"}.get(name, name): getattr(self, name)
            for name in ("size", "resize", "interpolation", "crop_share")
            if name in self.model_fields_set
        }
        if isinstance(changes.get("size"), int):
            changes["size"] = (changes["size"], changes["size"])
        if changes.get("mode", spec.mode) != "crop":
            changes.setdefault("crop_share", 1.0)
        return replace(spec, **changes)


class Model(_Section):
    """A network made of blocks, or a backbone with a head.

    kind             "backbone": [backbone] and [head] say what it is, and nothing else here counts;
                     "auto": what the photos, the machine and the time allow;
                     "cnn": convolution, activation, pooling; "residual": two convolutions around a
                     shortcut (He et al. 2016, arXiv:1603.05027), then pooling; "dense": no convolution
    filters          channels of each block
    convolutions     in each block of a "cnn"
    stem             stride of a first convolution that makes the picture smaller; 1 for none ("residual")
    batch_norm       after each convolution; its momentum is the share of a new batch in the running
                     statistics (Keras' default momentum of 0.99 is 0.01 here)
    global_pool      "none" flattens the last feature map, "average" takes its mean
    dropout          before the dense layers
    dense_dropout    after each dense layer
    dense            units of the hidden dense layers
    output           "softmax", or "sigmoid" with one output for two classes
    initialisation   "keras": Glorot uniform, zero bias; "he": He normal, zero bias
    """

    kind: Literal["cnn", "residual", "dense", "backbone", "auto"] = "cnn"
    filters: tuple[Count, ...] = (16, 32, 64)
    kernel: Annotated[int, Field(ge=1, le=11)] = 3
    convolutions: Annotated[int, Field(ge=1, le=8)] = 1
    stem: Annotated[int, Field(ge=1, le=4)] = 1
    pool: Annotated[int, Field(ge=1, le=8)] = 2
    batch_norm: bool = False
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.01
    global_pool: Literal["none", "average"] = "none"
    dropout: Share = 0.0
    dense: tuple[Count, ...] = (512,)
    dense_dropout: Share = 0.0
    activation: Literal["relu", "silu", "gelu", "tanh"] = "relu"
    output: Literal["softmax", "sigmoid"] = "softmax"
    initialisation: Literal["keras", "he"] = "keras"


class BackboneChoice(_Section):
    """Networks that others have taught; photos go through them once, and their embeddings are kept.

    names        as timm or torchvision name them, or "fast", "balanced", "best"; embeddings of several are
                 joined
    pretrained   false for random weights, which only tests want
    views        augmented views of each training photo, by [augment], whose embeddings are kept beside
                 those of the photo itself; epochs draw among them
    mirror       the embedding is the mean of the photo's and its mirror image's, in use as in training
    precision    of embeddings on disk
    """

    names: tuple[str, ...] = ()
    pretrained: bool = True
    views: Annotated[int, Field(ge=0, le=64)] = 0
    mirror: bool = False
    precision: Literal["float32", "float16"] = "float32"


class Head(_Section):
    """What tells classes by embeddings.

    kind           "logistic": logistic regression; "nearest-mean": the class whose mean is the nearest;
                   "neighbours": k-NN, weighted by likeness; "mlp": dense layers, taught as [train] says;
                   "ladder": all of those that are tried at once, the best of them is kept
    penalties      weights of the L2 penalty that "logistic" tries, per photo
    neighbours     that "neighbours" tries
    dense          units of the hidden layers of "mlp"; none for a linear one. "ladder" tries it where set
    learning_rates, weight_decays  that "mlp" tries, all at once; empty for those of [train]
    folds          of the cross-validation within the training photos by which the best is chosen
    balance        how rare classes are made to count: "auto" tries all three where classes are uneven
    """

    kind: Literal["ladder", "logistic", "nearest-mean", "neighbours", "mlp"] = "ladder"
    penalties: tuple[Annotated[float, Field(gt=0, le=1e3)], ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
    neighbours: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 5, 20)
    dense: tuple[Count, ...] = ()
    activation: Literal["relu", "silu", "gelu", "tanh"] = "relu"
    batch_norm: bool = False
    dropout: Share = 0.0
    learning_rates: tuple[Annotated[float, Field(gt=0, le=10)], ...] = ()
    weight_decays: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    balance: Literal["auto", "none", "class-weights", "sampling"] = "auto"


class Finetune(_Section):
    """The backbone's own weights, taught further from where the head stands; 0 epochs for not at all.

    blocks         the last n stages of the backbone are taught; 0 for all of it
    learning_rate  of the last stage; each stage before it has layer_decay times that of the next
    batch_norm     "frozen": statistics stay as they are
    drop_path      rate of stochastic depth (Huang et al. 2016, arXiv:1603.09382), where the network has it
    ema            decay of the running mean of the weights that is kept; 0 for none
    cutmix         α of the Beta distribution of the box (Yun et al. 2019, arXiv:1905.04899); 0 for none
    policy         "rand": RandAugment (Cubuk et al. 2019, arXiv:1909.13719), "trivial": TrivialAugment
                   (Müller & Hutter 2021, arXiv:2103.10158), on top of [augment]
    first_size     side that training begins with and grows from; 0 for the full size throughout
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    blocks: Annotated[int, Field(ge=0, le=64)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-4
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.75
    batch_norm: Literal["frozen", "trained"] = "frozen"
    drop_path: Share = 0.0
    ema: Share = 0.0
    cutmix: Annotated[float, Field(ge=0, le=8)] = 0.0
    policy: Literal["none", "rand", "trivial"] = "none"
    first_size: Annotated[int, Field(ge=0, le=_MOST_SIDE)] = 0


class Auto(_Section):
    """What the recipe "auto" may do.

    budget    seconds that everything together may take
    backbones that it may use, the cheapest first; none for those at hand, and "fast" to "best" of the hub
    """

    budget: Annotated[float, Field(gt=0, le=10**7)] = 300.0
    backbones: tuple[str, ...] = ()


class Augment(_Section):
    """Random changes of training photos; 0 and false for none.

    rotation       in turns: 0.2 is ±72°
    zoom           0.2 is 80–120 % of the size, the aspect kept
    width_shift, height_shift   share of the side
    brightness     added share of the full range; contrast  factor 1 ± contrast around the photo's mean
    mixup          α of the Beta distribution that mixes pairs of photos (Zhang et al. 2018, arXiv:1710.09412)
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    zoom: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    width_shift: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    height_shift: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    mixup: Annotated[float, Field(ge=0, le=8)] = 0.0


# Field, the field that it depends on, the values of that one with which it does something.
_ONLY_WITH = (
    ("momentum", "optimiser", ("sgd",)),
    ("epsilon", "optimiser", ("adam", "adamw")),
    ("warmup_epochs", "schedule", ("cosine",)),
    ("plateau_patience", "schedule", ("plateau",)),
    ("plateau_factor", "schedule", ("plateau",)),
)


class Train(_Section):
    """How the weights are found.

    momentum         of SGD; weight_decay  decoupled for "adamw", an L2 penalty otherwise
    epsilon          of Adam, as Keras applies it
    schedule         "cosine" warms up for warmup_epochs, "one-cycle" for 30 % of all steps (Smith & Topin
                     2018, arXiv:1708.07120), "plateau" multiplies by plateau_factor after plateau_patience
                     epochs without a lower validation loss
    early_stopping   epochs without a better `monitor` after which training ends; 0 for never
    keep             "best": the weights of the best epoch by `monitor`; "last": the final ones
    labels           how they enter the loss; all three give the same training
    class_weights    "balanced": rare classes count more, by N / (C · count)
    clip_norm        largest L2 norm of all gradients together; 0 for no limit
    threads          of the processor; 0 for one on each core. Tiny networks are as fast with one, and do not
                     suffer when the processor has other work
    precision        "auto": bfloat16 where the processor has units for it, else float32
    """

    seed: Seed = 1
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    optimiser: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-7
    schedule: Literal["constant", "cosine", "one-cycle", "plateau"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    plateau_patience: Annotated[int, Field(ge=1)] = 5
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    early_stopping: Annotated[int, Field(ge=0)] = 0
    monitor: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    keep: Literal["best", "last"] = "best"
    labels: Literal["int", "one-hot", "binary"] = "int"
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _has_effect(self) -> Train:
        """Whoever sets a value expects that it does something."""
        idle = [
            f"{name} has no effect with {other} = {value!r}"
            for name, other, values in _ONLY_WITH
            if name in self.model_fields_set
            and getattr(self, name) != type(self).model_fields[name].default
            and (value := getattr(self, other)) not in values
        ]
        if self.warmup_epochs >= self.epochs:
            idle.append("warmup_epochs leaves no epoch after it")
        if idle:
            raise ValueError("; ".join(idle))
        return self


def _safe(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"expected {SAFE_NAME_IS}")
    return name


class Recipe(_Section):
    """name: also names the run folder: letters, digits and . _ + -, at most 80."""

    name: Annotated[str, AfterValidator(_safe)] = "custom"
    about: str = ""
    data: Data = Data()
    split: Split = Split()
    pixels: Pixels = Pixels()
    model: Model = Model()
    backbone: BackboneChoice = BackboneChoice()
    head: Head = Head()
    finetune: Finetune = Finetune()
    auto: Auto = Auto()
    augment: Augment = Augment()
    train: Train = Train()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.model.kind == "backbone" and not self.backbone.names:
            raise ValueError('backbone.names is empty: name one, such as "fast" or "efficientnet_b0.ra_in1k"')
        if self.model.kind == "auto" and self.head.kind == "mlp":
            raise ValueError(
                'head.kind = "mlp" compares no heads, as "auto" does: "ladder" tries head.dense, too'
            )
        if self.model.kind in ("cnn", "residual") and not self.model.filters:
            raise ValueError("model.filters is empty: a convolutional network needs at least one block")
        if self.model.batch_norm and self.train.batch_size == 1:
            raise ValueError("model.batch_norm needs a train.batch_size of at least 2")
        return self

    def from_scratch(self) -> Recipe:
        """The same without pretrained weights: all of a backbone is taught, as [train] says."""
        random = self.backbone.model_copy(update={"pretrained": False})
        if self.model.kind == "auto":
            return self.model_copy(update={"backbone": random})
        if self.model.kind != "backbone":
            return self
        whole = {"epochs": self.finetune.epochs or self.train.epochs, "blocks": 0, "layer_decay": 1.0}
        taught = {**whole, "learning_rate": self.train.learning_rate, "batch_norm": "trained"}
        return self.model_copy(
            update={
                "backbone": random,
                "finetune": self.finetune.model_copy(update=taught),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data of TOML's and JSON's kinds."""
        data: dict[str, Any] = self.model_dump(mode="json")
        return data
