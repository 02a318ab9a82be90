"""One photo that is wanted in several sizes."""

from __future__ import annotations

from sortograph.images.decode import JPEG, Opened, decoded, header, lies_on_side, photo_errors, spare


class Photo:
    """The bytes of a photo, of which no pixels are decoded twice.

    JPEGs alone may be shrunk while they are decoded. Raises PhotoError wherever it cannot be read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._held = data, dict[int, Opened]()
        self._image, self._size = None, (0, 0)
        if data.startswith(JPEG):
            with photo_errors():
                self._image = header(data)
                width, height = self._image.size
                self._size = (height, width) if lies_on_side(self._image) else (width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full picture, after EXIF turning."""
        return self._size if any(self._size) else self.at((1, 1)).image.size

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
        most = min(self._size[0] // width, self._size[1] // height)
        return next((factor for factor in (8, 4, 2) if factor <= most), 1)
