"""From records to pictures and to one self-contained HTML page.

`galleries` and `sheet` need Pillow only; `plots` needs matplotlib and `page` needs Jinja2, each loaded
when it is used. All pictures are PNG bytes.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.reporting.card import write_card
    from sortograph.reporting.galleries import augmented_sheet, mistake_sheet, prediction_sheet, sample_sheet
    from sortograph.reporting.page import ReportView, render, write_report
    from sortograph.reporting.plots import confusion, curves, per_class, reliability
    from sortograph.reporting.sheet import Tile, draw_sheet
    from sortograph.reporting.steps import shown_folder

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
    "reliability",
    "render",
    "sample_sheet",
    "shown_folder",
    "write_card",
    "write_report",
]

_NAMES = {
    "card": ("write_card",),
    "galleries": ("augmented_sheet", "mistake_sheet", "prediction_sheet", "sample_sheet"),
    "page": ("ReportView", "render", "write_report"),
    "plots": ("confusion", "curves", "per_class", "reliability"),
    "sheet": ("Tile", "draw_sheet"),
    "steps": ("shown_folder",),
}
__getattr__ = lazy.getter(__name__, _NAMES)
