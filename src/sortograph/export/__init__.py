"""From trained weights to the graph of a model.onnx, and the check that both answer the same."""

from sortograph.export.graph import to_onnx
from sortograph.export.likeness import with_likeness
from sortograph.export.parity import Parity, answers_of, check_parity

__all__ = ["Parity", "answers_of", "check_parity", "to_onnx", "with_likeness"]
