"""Makes the files of this folder again: photos of every kind, and what other programs decode them to.

    python tests/references/decode/make.py

Needs ImageMagick 6 (`convert`) and libvips (`vips`) beside Pillow; ORIGIN.md says which versions made the
files that are committed. Every reference is an RGB PNG in expected/, written by the program that the
table in ORIGIN.md names, never by sortograph or Pillow.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

HERE = Path(__file__).parent
WIDTH, HEIGHT = 24, 16


def picture() -> np.ndarray:
    """RGB uint8 (16, 24, 3): slow gradients, and a red corner at the top left that shows the orientation."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgb = np.stack([40 + 7 * x, 30 + 11 * y, 200 - 3 * x - 4 * y], axis=-1)
    rgb[:5, :7] = (220, 40, 40)
    return rgb.astype(np.uint8)


def alpha() -> np.ndarray:
    """uint8 (16, 24): opaque on the left, clear on the right."""
    return np.broadcast_to(np.linspace(255, 0, WIDTH).round().astype(np.uint8), (HEIGHT, WIDTH))


def run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def number(value: float) -> bytes:
    """s15Fixed16Number of the ICC specification."""
    return struct.pack(">i", round(value * 65536))


def text(words: str) -> bytes:
    """textDescriptionType of version 2 profiles."""
    data = words.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(data)) + data + bytes(78)


def profile(space: bytes, pcs: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04) with these tags."""
    tags = {b"desc": text("reference"), b"cprt": b"text\0\0\0\0none\0", **tags}
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I", offset + len(body)) + bytes(4) + b"\x02\x40\0\0" + kind + space + pcs
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += number(0.9642) + number(1.0) + number(0.8249)
    return head.ljust(128, b"\0") + table + body


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(number(value) for value in values)


def wide_gamut() -> bytes:
    """Colorants of Display P3, adapted to D50, with a plain gamma of 2.2."""
    columns = {b"rXYZ": (0.51512, 0.24120, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189)}
    columns[b"bXYZ"] = (0.15710, 0.06657, 0.78407)
    tags = {name: xyz(*values) for name, values in columns.items()} | {b"wtpt": xyz(0.9642, 1, 0.8249)}
    return profile(b"RGB ", b"XYZ ", tags | {name: gamma(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")})


def grey(power: float) -> bytes:
    return profile(b"GRAY", b"XYZ ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(power)})


def inks() -> bytes:
    """A pale printer: the 16 overprints of four inks as L*a*b* (lut8Type), in between interpolated.

    Pale, so that the rounding of programs on the way does not grow on the steep slopes of the table.
    """
    cyan, magenta, yellow = np.array([-24, -34]), np.array([50, -4]), np.array([-4, 62])
    cells = []
    for corner in range(16):
        c, m, y, k = (corner >> bit & 1 for bit in (3, 2, 1, 0))
        light = (96 - 25 * c - 30 * m - 6 * y) * (1 - 0.75 * k)
        a, b = (c * cyan + m * magenta + y * yellow) * (1 - 0.8 * k) * 0.7
        cells += [round(light * 2.55), round(a) + 128, round(b) + 128]
    ramp = bytes(range(256))
    matrix = b"".join(number(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + bytes(cells) + ramp * 3
    return profile(b"CMYK", b"Lab ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": table}, b"prtr")


def png(kind: int, bits: int, rows: list[bytes], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of packed rows, as 24 × 16 pixels of the colour type and depth."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def packed(values: np.ndarray, bits: int) -> list[bytes]:
    """(16, 24) samples below 2**bits → rows of a PNG."""
    if bits == 16:
        return [row.astype(">u2").tobytes() for row in values]
    planes = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1)).tobytes() for row in planes.astype(np.uint8)]


def keyed() -> dict[str, bytes]:
    """PNGs with one transparent colour, and a palette with an alpha for each of its entries."""
    files = {}
    for bits in (1, 2, 4, 8, 16):
        values = picture()[..., 0].astype(int) * 257 >> 16 - bits
        clear = struct.pack(">H", values[8, 12])
        files[f"key-grey{bits}.png"] = png(0, bits, packed(values, bits), (b"tRNS", clear))
    for bits in (8, 16):
        values = picture().astype(int) * (257 if bits == 16 else 1)
        clear = struct.pack(">3H", *values[0, 0])
        files[f"key-rgb{bits}.png"] = png(2, bits, packed(values, bits), (b"tRNS", clear))
    colours = picture()[::2, ::2].reshape(-1, 3)
    chunks = (b"PLTE", colours.tobytes()), (b"tRNS", bytes(range(0, 192, 2)))
    files["key-palette.png"] = png(
        3, 8, packed(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 96, 8), *chunks
    )
    return files


def without_adobe(jpeg: bytes) -> bytes:
    """A JPEG less its Adobe marker."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


# sRGB (IEC 61966-2-1) to XYZ under D65, and from there to D50 (Bradford), which TIFF and ICC files use.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
TO_D50 = np.array([[1.0479, 0.0229, -0.0502], [0.0296, 0.9904, -0.0171], [-0.0092, 0.0151, 0.7517]])
D50 = np.array([0.9642, 1.0, 0.8249])


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """uint8 sRGB → L*a*b* under D50, rounded to whole numbers (L* in steps of 100/255)."""
    light = rgb / 255
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    f = np.cbrt(linear @ (TO_D50 @ TO_XYZ).T / D50)  # no colour of the picture is dark enough for the line
    lab = [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]
    return np.stack([lab[0] * 2.55, lab[1], lab[2]], axis=-1).round()


def from_lab(lab: np.ndarray) -> np.ndarray:
    """The way back, to uint8 sRGB."""
    y = (lab[..., 0] / 2.55 + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    linear = (f**3 * D50) @ np.linalg.inv(TO_D50 @ TO_XYZ).T
    light = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055)
    return (light.clip(0, 1) * 255).round().astype(np.uint8)


def save_lab() -> None:
    """L*a*b* in a TIFF, and its reference by the formulas."""
    muted = 70 + picture() // 4  # far from the edge of sRGB, where a step of 8-bit L*a*b* is a small one
    lab = to_lab(muted)
    samples = np.stack([lab[..., 0], lab[..., 1] % 256, lab[..., 2] % 256], axis=-1).astype(np.uint8)
    tags = [(256, 4, WIDTH), (257, 4, HEIGHT), (258, 3, 8), (259, 3, 1), (262, 3, 8), (273, 4, 0)]
    tags += [(277, 3, 3), (278, 4, HEIGHT), (279, 4, samples.size), (284, 3, 1)]
    bits_at = 8 + 2 + 12 * len(tags) + 4
    values = {258: (3, bits_at), 273: (1, bits_at + 6)}
    entries = b"".join(
        struct.pack("<HHI", tag, kind, values.get(tag, (1,))[0])
        + struct.pack("<I", values.get(tag, (1, value))[1])
        for tag, kind, value in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack("<3H", 8, 8, 8)
    (HERE / "lab.tif").write_bytes(head + samples.tobytes())
    rows = [row.tobytes() for row in from_lab(lab)]
    (HERE / "expected" / "lab.tif.png").write_bytes(png(2, 8, rows))


GREY, INKS, SHARP = "-colorspace Gray", "-colorspace CMYK", "-sampling-factor 1x1 -quality 95"
BILEVEL = "-colorspace Gray -threshold 50% -type bilevel"
# Inputs that ImageMagick writes of the picture: name → options.
PLAIN = {
    "cmyk.tif": INKS,
    "cmyk-lzw.tif": f"{INKS} -compress LZW",
    "cmyk16.tif": f"{INKS} -depth 16",
    "cmyk-jpeg.tif": f"{INKS} -compress JPEG {SHARP}",
    "ycck.jpg": f"{INKS} {SHARP}",
    "ycbcr.tif": "-colorspace YCbCr -sampling-factor 1x1 -depth 8 -compress LZW",
    "ycbcr-jpeg.tif": f"-colorspace YCbCr -compress JPEG {SHARP}",
    "ycbcr-420.jpg": "-sampling-factor 2x2 -quality 95",
    "grey.jpg": f"{GREY} -quality 95",
    "grey12.tif": f"{GREY} -depth 12",
    "grey16.png": f"{GREY} -depth 16",
    "grey16.tif": f"{GREY} -depth 16 -endian LSB",
    "grey16-big.tif": f"{GREY} -depth 16 -endian MSB",
    "grey16-zip.tif": f"{GREY} -depth 16 -endian MSB -compress Zip",
    "grey16-white-is-zero.tif": f"{GREY} -depth 16 -define quantum:polarity=min-is-white",
    "grey32.tif": f"{GREY} -depth 32",
    "grey-float.tif": f"{GREY} -depth 32 -define quantum:format=floating-point",
    "rgb16.png": "-define png:bit-depth=16 -define png:color-type=2",
    "rgb16.tif": "-depth 16 -endian LSB",
    "rgb16-big.tif": "-depth 16 -endian MSB -compress Zip",
    "bilevel.png": BILEVEL,
    "bilevel.bmp": BILEVEL,
    "bilevel-black-is-zero.tif": f"{BILEVEL} -define quantum:polarity=min-is-black",
    "bilevel-white-is-zero.tif": f"{BILEVEL} -define quantum:polarity=min-is-white",
    "bilevel-fax.tif": f"{BILEVEL} -compress Group4",
    "palette.gif": "-colors 64",
    "palette.bmp": "-colors 64 -type palette",
    "palette.tif": "-colors 64 -type palette",
}
# Of the picture with alpha.
CLEAR = {
    "alpha.png": "",
    "alpha16.png": "-define png:bit-depth=16 -define png:color-type=6",
    "alpha.tif": "-depth 8",
    "alpha-grey.png": GREY,
    "alpha-grey16.png": f"{GREY} -depth 16",
    "alpha-grey.tif": f"{GREY} -depth 8",
    "alpha.webp": "-define webp:lossless=true",
    "alpha.gif": "-colors 32",
}


def save_turned() -> list[str]:
    """The picture with every value of the EXIF orientation, also invalid ones."""
    names = []
    kinds = {"jpg": {"quality": 95, "subsampling": 0}, "png": {}, "webp": {"lossless": True}, "tif": {}}
    for kind, options in kinds.items():
        for orientation in range(10) if kind == "jpg" else (3, 6):
            exif = Image.Exif()
            exif[0x0112] = orientation
            names.append(f"turned-{orientation}.{kind}")
            Image.fromarray(picture()).save(HERE / names[-1], exif=exif, **options)
    return names


def save_frames() -> list[str]:
    """Several pictures in one file, the first of them the picture."""
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    names = {"frames.gif": {}, "frames.webp": {"lossless": True}, "frames.png": {}, "frames.tif": {}}
    names["frames.mpo"] = {"quality": 95, "subsampling": 0}
    for name, options in names.items():
        first.save(HERE / name, save_all=True, append_images=[second], **options)
    return list(names)


def save_profiled() -> list[str]:
    """Pictures whose numbers mean other colours than those of sRGB."""
    rgb = Image.fromarray(picture())
    light, clear = rgb.convert("L"), Image.fromarray(np.dstack([picture(), alpha()]))
    rgb.save(HERE / "profile-wide.png", icc_profile=wide_gamut())
    rgb.save(HERE / "profile-wide.jpg", icc_profile=wide_gamut(), quality=95, subsampling=0)
    clear.save(HERE / "profile-alpha.png", icc_profile=wide_gamut())
    light.save(HERE / "profile-grey.png", icc_profile=grey(1.4))
    with Image.open(HERE / "cmyk.tif") as image:
        image.save(HERE / "profile-cmyk.tif", icc_profile=inks())
        image.save(HERE / "profile-cmyk.jpg", icc_profile=inks(), quality=95)
    return [
        f"profile-{name}"
        for name in ("wide.png", "wide.jpg", "alpha.png", "grey.png", "cmyk.tif", "cmyk.jpg")
    ]


def seen_by_magick(name: str) -> None:
    """The reference of the first frame: turned, in sRGB, on white."""
    options = "-auto-orient -colorspace sRGB -background white -alpha remove -alpha off -depth 8 -strip"
    run("convert", f"{HERE / name}[0]", *options.split(), f"PNG24:{HERE / 'expected' / name}.png")


def seen_by_vips(name: str, work: Path) -> None:
    """The reference by the embedded profile (LittleCMS, perceptual intent), on white."""
    srgb, seen, flat = work / "srgb.icc", work / "seen.v", work / "flat.v"
    srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    run("vips", "icc_transform", HERE / name, seen, srgb, "--embedded", "--intent", "perceptual")
    if "alpha" in name:
        run("vips", "flatten", seen, flat, "--background", "255")
    else:
        run("vips", "copy", seen, flat)
    run("vips", "copy", flat, f"{HERE / 'expected' / name}.png[strip]")


def turned_by_vips(name: str) -> None:
    run("vips", "autorot", HERE / name, f"{HERE / 'expected' / name}.png[strip]")


def save_by_magick(work: Path) -> list[str]:
    source, clear = work / "picture.png", work / "clear.png"
    Image.fromarray(picture()).save(source)
    Image.fromarray(np.dstack([picture(), alpha()])).save(clear)
    for made, photo in ((PLAIN, source), (CLEAR, clear)):
        for name, options in made.items():
            run("convert", photo, "-strip", *options.split(), HERE / name)
    return [*PLAIN, *CLEAR]


def save_bytes() -> list[str]:
    with Image.open(HERE / "cmyk.tif") as image:
        image.save(
            HERE / "cmyk.jpg", quality=95
        )  # plain CMYK, as Adobe inverts it, where ImageMagick writes YCCK
    files = keyed() | {"cmyk-no-marker.jpg": without_adobe((HERE / "cmyk.jpg").read_bytes())}
    for name, data in files.items():
        (HERE / name).write_bytes(data)
    return ["cmyk.jpg", *files]


def main() -> None:
    shutil.rmtree(HERE / "expected", ignore_errors=True)
    (HERE / "expected").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in (*save_by_magick(work), *save_bytes(), *save_frames()):
            seen_by_magick(name)
        for name in save_profiled():
            seen_by_vips(name, work)
    for name in save_turned():
        # ImageMagick 6 does not turn PNG and WebP.
        (turned_by_vips if name.endswith(("png", "webp")) else seen_by_magick)(name)
    save_lab()


if __name__ == "__main__":
    main()
