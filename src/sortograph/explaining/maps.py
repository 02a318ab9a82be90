"""Which heatmap the gradients of a network from scratch give, told by its layers alone."""

from __future__ import annotations

from sortograph.models.layers import GlobalPool
from sortograph.models.plan import Plan

GRAD_CAM, LAYER_CAM = "grad-cam", "layer-cam"


def gradient_method(plan: Plan) -> str | None:
    """ "grad-cam" or "layer-cam"; None for a network without a feature map.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2) weighs each channel by its mean
    gradient, which is right where the network itself goes on with the mean of each channel. Where it flattens
    the map, every place has weights of its own and their mean says little; so there it is Layer-CAM (Jiang et
    al. 2021, IEEE Transactions on Image Processing 30, 5875–5888, equations 5 and 6), which weighs place by
    place.
    """
    if not any(len(shape) == 3 for shape in plan.shapes):
        return None
    return GRAD_CAM if any(isinstance(layer, GlobalPool) for layer in plan.layers) else LAYER_CAM
