"""What a photo looks like, in a few numbers: enough to find its twins, and to see that it is dark."""

from __future__ import annotations

import numpy as np

# Photos of one kind of file; the place in this tuple is what a look holds.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "MPO", "array")
# Bits of `oddities`: what the file needed to become upright RGB pixels.
TURNED, TRANSPARENT, CMYK, WIDE, PROFILE, PALETTE, ANIMATED = (1 << bit for bit in range(7))

WAVES = 8
FINGERPRINT = WAVES * WAVES
UNIT = 1 << 14  # a fingerprint's 1.0

# fingerprint    what the photo shows, coarsely: the longest waves of its luma, (WAVES, WAVES) in C order,
#                rows by frequency downwards, columns sideways, the mean itself left out (0). The norm is 1,
#                or less for a photo of almost one colour. Mirroring changes the signs of the odd columns
# brightness     mean luma, 0–255
# contrast       standard deviation of the luma, 0–127.5
# sharpness      variance of the Laplacian of the luma, at a fixed size
# border         mean colour of the outermost pixels, RGB
# border_spread  their standard deviation: 0 for a frame of one colour
# bytes          of the file
LOOK = np.dtype(
    [
        ("fingerprint", "<i2", (FINGERPRINT,)),
        ("brightness", "<f4"),
        ("contrast", "<f4"),
        ("sharpness", "<f4"),
        ("border", "u1", (3,)),
        ("border_spread", "<f4"),
        ("format", "u1"),
        ("oddities", "u1"),
        ("bytes", "<u4"),
    ]
)
