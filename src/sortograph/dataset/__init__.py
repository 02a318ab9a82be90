"""Folders and tables of labelled photos → the index, and its cut into train, validation and test."""

from sortograph.dataset.leaks import label_notes, leak_notes
from sortograph.dataset.scan import check_there, read_ahead, scan
from sortograph.dataset.split import SplitPlan, cut
from sortograph.dataset.table import read_index, write_index
from sortograph.images.names import natural_key

__all__ = [
    "SplitPlan",
    "check_there",
    "cut",
    "label_notes",
    "leak_notes",
    "natural_key",
    "read_ahead",
    "read_index",
    "scan",
    "write_index",
]
