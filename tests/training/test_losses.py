from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sortograph.recipe import Train
from sortograph.training.losses import class_weights, loss_of, targets

LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 0])
THREE = torch.tensor([0, 2, 1, 2, 2, 0, 1])
LOGITS = torch.from_numpy(np.random.default_rng(4).normal(0, 3, (7, 3)).astype(np.float32))


def loss_and_gradient(train: Train, logits: Tensor, labels: Tensor, weights: Tensor | None = None):
    free = logits.clone().requires_grad_()
    loss = loss_of(train, free, targets(train, labels, logits.shape[1]), weights)
    loss.backward()
    return loss.detach(), free.grad


@pytest.mark.parametrize("weights", [None, torch.tensor([0.7, 1.6])])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_however_labels_are_written_loss_and_gradient_are_the_same_to_the_bit(weights, scale):
    logits = LOGITS[:, :2] * scale
    found = [
        loss_and_gradient(Train(labels=mode), logits, LABELS, weights)
        for mode in ("int", "one-hot", "binary")
    ]
    for loss, gradient in found[1:]:
        assert torch.equal(loss, found[0][0])
        assert torch.equal(gradient, found[0][1])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_labels_give_the_cross_entropy_of_a_sigmoid(smoothing):
    train = Train(labels="binary", label_smoothing=smoothing)
    loss, gradient = loss_and_gradient(train, LOGITS[:, :2], LABELS)
    margin = (LOGITS[:, 1] - LOGITS[:, 0]).requires_grad_()
    share = LABELS * (1 - smoothing) + smoothing / 2
    expected = F.binary_cross_entropy_with_logits(margin, share)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient[:, 1], margin.grad)
    torch.testing.assert_close(gradient[:, 0], -margin.grad)


@pytest.mark.parametrize("mode", ["int", "one-hot"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_cross_entropy_in_nats(mode, smoothing):
    train = Train(labels=mode, label_smoothing=smoothing)
    loss, _ = loss_and_gradient(train, LOGITS, THREE)
    logs = LOGITS.double() - LOGITS.double().logsumexp(1, keepdim=True)
    each = (1 - smoothing) * -logs[range(7), THREE] + smoothing * -logs.mean(1)
    assert float(loss) == pytest.approx(float(each.mean()), rel=1e-6)


@pytest.mark.parametrize("mode", ["int", "one-hot"])
def test_mixed_labels_count_for_both_their_classes(mode):
    shares = torch.tensor([[0.3, 0.7, 0.0]]).expand(7, 3)
    logs = LOGITS.log_softmax(1)
    expected = -(0.3 * logs[:, 0] + 0.7 * logs[:, 1]).mean()
    torch.testing.assert_close(loss_of(Train(labels=mode), LOGITS, shares, None), expected)


@pytest.mark.parametrize("mode", ["int", "one-hot"])
def test_class_weights_count_each_photo_by_its_class(mode):
    weights = torch.tensor([0.5, 3.0, 1.0])
    loss, gradient = loss_and_gradient(Train(labels=mode), LOGITS, THREE, weights)
    free = LOGITS.clone().requires_grad_()
    expected = F.cross_entropy(free, THREE, weight=weights)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, free.grad)


def test_balanced_weights_make_all_classes_count_the_same():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    weights = class_weights(Train(class_weights="balanced"), labels, 3)
    assert weights is not None
    assert weights.dtype == torch.float32
    np.testing.assert_allclose(weights, [100 / 180, 100 / 90, 100 / 30], rtol=1e-6)
    np.testing.assert_allclose(weights.numpy() * [60, 30, 10], 100 / 3, rtol=1e-6)
    assert class_weights(Train(), labels, 3) is None


def test_a_class_without_training_photos_has_a_finite_weight():
    weights = class_weights(Train(class_weights="balanced"), np.array([0, 0, 1]), 3)
    assert weights is not None
    assert torch.isfinite(weights).all()


def test_smoothing_takes_from_the_true_class_and_gives_to_all():
    shares = targets(Train(label_smoothing=0.3), torch.tensor([2, 0]), 3)
    torch.testing.assert_close(shares, torch.tensor([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]))
    assert torch.equal(targets(Train(), torch.tensor([1]), 3), torch.tensor([[0.0, 1.0, 0.0]]))


def test_extreme_logits_give_finite_losses():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    for mode in ("int", "one-hot", "binary"):
        loss, gradient = loss_and_gradient(Train(labels=mode), logits, torch.tensor([1, 1]))
        assert float(loss) == pytest.approx(1e4)
        assert torch.isfinite(gradient).all()
