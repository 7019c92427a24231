"""Image files to pixels. PNG, JPEG and DICOM; gray in 0..1; every failure is one line that names the file."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from PIL import Image, ImageOps, UnidentifiedImageError

from radflow.errors import DataError, MissingFileError
from radflow.studies.dicom import check_dicom, is_dicom, load_dicom

FORMATS = ("PNG", "JPEG")
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601-2
_TAIL_BYTES = 4096  # cameras and archives append a little after the end mark
_END_MARKS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}


def load_image(path: Path) -> Float[np.ndarray, "H W"]:
    """Read an image as grayscale, float32 in 0..1.

    The full range of the file's bit depth maps to 0..1 (8 bit: divided by 255; 16 bit: by 65535), without
    windowing or stretching. Pillow's own conversion of 16-bit pixels to 8 bits clips everything above 255 to
    white, which is why nobody should call ``convert("L")`` on a radiograph. Colours become luminance (ITU-R
    601-2), transparent pixels black. The EXIF orientation of a photograph is applied. A DICOM file with one
    frame is read as it is meant to be shown, windowed and upright (docs/dicom.md); its name does not matter.

    Raises:
        MissingFileError: there is no such file.
        MissingDependencyError: it is DICOM, and pydicom or a decoder is not installed.
        DataError: it is empty, truncated, not a PNG, JPEG or DICOM image, or larger than Pillow's limit
            against decompression bombs.
    """
    if is_dicom(path):
        pixels = load_dicom(path)
        return pixels if pixels.ndim == 2 else pixels @ _LUMINANCE
    with _opened(path) as image:
        return _gray(image)


def to_pil(path: Path) -> Image.Image:
    """Read an image as an 8-bit RGB Pillow image, what the processors of vision-language models take.

    8-bit files keep their values; 16-bit and DICOM files are scaled as in `load_image`, which see for what it
    raises. Colours stay, those of a Doppler DICOM too.
    """
    if is_dicom(path):
        return Image.fromarray(np.round(load_dicom(path) * 255).astype(np.uint8)).convert("RGB")
    with _opened(path) as image:
        if image.mode.startswith("I"):
            return Image.fromarray(np.round(_gray(image) * 255).astype(np.uint8)).convert("RGB")
        return _flattened(image)


def check_image(path: Path) -> tuple[int, int]:
    """Check that a file is a whole PNG, JPEG or DICOM image, without decoding it.

    Reads the header and looks for the format's end mark in the last 4 KiB, so it costs the same for any size.
    Damage in the middle is found only by `load_image`. Of DICOM the header and the length of the pixel data
    are checked.

    Returns:
        ``(height, width)`` as stored.

    Raises:
        MissingFileError, MissingDependencyError, DataError: as `load_image`.
    """
    if is_dicom(path):
        return check_dicom(path)
    with _opened(path, decode=False) as image:
        mark = _END_MARKS[image.format or "PNG"]
        width, height = image.size
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        if mark not in file.read():
            raise DataError(f"{path}: the image is truncated (no end mark); copy or download it again")
    return height, width


def square_pad(image: Num[np.ndarray, "H W"], fill: float = 0.0) -> Num[np.ndarray, "S S"]:
    """Pad the shorter side on both ends so that the image is square, keeping its dtype and its proportions.

    >>> square_pad(np.ones((2, 4))).tolist()
    [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    height, width = image.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side), fill, dtype=image.dtype)
    square[top : top + height, left : left + width] = image
    return square


@contextmanager
def _opened(path: Path, *, decode: bool = True) -> Generator[Image.Image]:
    """Open, and by default decode, an image; turn each way in which that fails into one clear line."""
    _refuse_what_cannot_be_an_image(path)
    try:
        with warnings.catch_warnings():
            # Half of Pillow's limit only warns: for studies from elsewhere that is an error too.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # odd EXIF, still readable
            with Image.open(path, formats=FORMATS) as image:
                if decode:
                    image.load()
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{path}: refused as a possible decompression bomb ({error}); scale it down"
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: expected a PNG or JPEG image or a DICOM file, got something else or a broken header"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        # Truncated data is an OSError, a broken PNG chunk a SyntaxError, others a ValueError or EOFError.
        raise DataError(
            f"{path}: the image is truncated or broken ({error}); copy or download it again"
        ) from None


def _refuse_what_cannot_be_an_image(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: expected an image file, got a folder")
    try:
        with path.open("rb") as file:
            head = file.read(1)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such image file") from None
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror or error})") from None
    if not head:
        raise DataError(f"{path}: the image file is empty (0 bytes); copy or download it again")


def _gray(image: Image.Image) -> Float[np.ndarray, "H W"]:
    """Pixels in 0..1 of an image in any mode that a PNG or JPEG can have."""
    if image.mode.startswith("I"):  # 16-bit gray: "I;16" and its byte orders, "I" in older Pillow
        return np.asarray(ImageOps.exif_transpose(image), dtype=np.float32) / np.float32(65535)
    return np.asarray(_flattened(image).convert("L"), dtype=np.float32) / np.float32(255)


def _flattened(image: Image.Image) -> Image.Image:
    """Upright RGB, with transparency shown on black, the background of a radiograph or sonogram."""
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over)
    return image.convert("RGB")
