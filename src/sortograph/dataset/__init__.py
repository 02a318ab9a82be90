"""Folders and tables of labelled photos → the index, and its cut into train, validation and test."""

from sortograph.dataset.ahead import Ahead
from sortograph.dataset.leaks import label_notes, leak_notes
from sortograph.dataset.scan import ahead_of_scan, check_there, scan
from sortograph.dataset.split import SplitPlan, cut
from sortograph.dataset.table import read_index, write_index
from sortograph.images.names import natural_key

__all__ = [
    "Ahead",
    "SplitPlan",
    "ahead_of_scan",
    "check_there",
    "cut",
    "label_notes",
    "leak_notes",
    "natural_key",
    "read_index",
    "scan",
    "write_index",
]
