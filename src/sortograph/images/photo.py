"""One photo that is wanted in several sizes."""

from __future__ import annotations

from sortograph.images.decode import JPEG, Opened, decoded, header, lies_on_side, photo_errors, spare


class Photo:
    """The bytes of a photo, of which no pixels are decoded twice.

    JPEGs alone may be shrunk while they are decoded. Raises PhotoError wherever it cannot be read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._held = data, dict[int, Opened]()
        self._image, self._stored, self._on_side = None, (0, 0), False
        if data.startswith(JPEG):
            with photo_errors():
                self._image = header(data)
                self._on_side = lies_on_side(self._image)
            self._stored = self._image.size

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full picture, after EXIF turning."""
        if not any(self._stored):
            return self.at((1, 1)).image.size
        width, height = self._stored
        return (height, width) if self._on_side else (width, height)

    def at(self, at_least: tuple[int, int]) -> Opened:
        """What `open_photo(data, at_least)` gives."""
        shrunk_by = self._shrunk_by(at_least)
        if shrunk_by not in self._held:
            with photo_errors():
                image, self._image = self._image or header(self._data), None
                self._held[shrunk_by] = decoded(image, at_least)
        return self._held[shrunk_by]

    def _shrunk_by(self, at_least: tuple[int, int]) -> int:
        """As Pillow's `draft` has it."""
        height, width = (spare(side) for side in at_least)
        across, down = self._stored
        most = min(across // height, down // width) if self._on_side else min(across // width, down // height)
        return next((factor for factor in (8, 4, 2) if factor <= most), 1)
