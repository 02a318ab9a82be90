"""From records to pictures and to one self-contained HTML page.

`galleries` and `sheet` need Pillow only; `plots` needs matplotlib and `page` needs Jinja2, each loaded
when it is used. All pictures are PNG bytes.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.reporting.galleries import augmented_sheet, mistake_sheet, prediction_sheet, sample_sheet
    from sortograph.reporting.page import ReportView, render, write_report
    from sortograph.reporting.plots import confusion, curves, per_class
    from sortograph.reporting.sheet import Tile, draw_sheet

__all__ = [
    "ReportView",
    "Tile",
    "augmented_sheet",
    "confusion",
    "curves",
    "draw_sheet",
    "mistake_sheet",
    "per_class",
    "prediction_sheet",
    "render",
    "sample_sheet",
    "write_report",
]

_NAMES = {
    "galleries": ("augmented_sheet", "mistake_sheet", "prediction_sheet", "sample_sheet"),
    "page": ("ReportView", "render", "write_report"),
    "plots": ("confusion", "curves", "per_class"),
    "sheet": ("Tile", "draw_sheet"),
}
__getattr__ = lazy.getter(__name__, _NAMES)
