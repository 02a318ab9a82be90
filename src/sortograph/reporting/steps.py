"""What to type next."""

from __future__ import annotations

from sortograph.records import RunRecord
from sortograph.reporting.promises import best_rows


def shown_folder(run: RunRecord) -> str:
    """Of the run, as it is told to others: folders above it are nobody's business."""
    return run.folder.name if run.folder.is_absolute() else run.folder.as_posix()


def commands(run: RunRecord) -> list[tuple[str, str]]:
    """What to type next: what for, and the command."""
    folder = shown_folder(run)
    place = f'"{folder}"' if " " in folder else folder
    found = [("Use it", f"sortograph predict {place} PHOTOS")]
    rows = best_rows(run.trust.abstain) if run.trust else []
    if rows and rows[0].coverage < 1:
        percent = f"{100 * rows[0].error:g}%"
        found.append(("Withhold unsure answers", f"{found[0][1]} --max-error {percent}"))
    found.append(("Judge it on photos that it has not met", f"sortograph evaluate {place} MORE-PHOTOS"))
    found.append(("See what would help", f"sortograph diagnose {place} --photos PHOTOS"))
    return found
