"""Image files to pixels. PNG, JPEG and DICOM; gray in 0..1; every failure is one line that names the file."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from PIL import Image, ImageOps, UnidentifiedImageError

from radflow.errors import DataError, MissingFileError, RadflowError
from radflow.files import open_regular
from radflow.studies.codestreams import damage
from radflow.studies.dicom import check_dicom, is_dicom, load_dicom

FORMATS = ("PNG", "JPEG")  # JPEG includes MPO, of which the first picture is used: the others are previews
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601-2
MAX_FILE_BYTES = 2**29  # of a PNG or JPEG file: three times the largest picture that is taken, uncompressed
MAX_ASPECT = 100  # of the longer side to the shorter: beyond, no processor makes a picture of it


def load_image(path: Path) -> Float[np.ndarray, "H W"]:
    """Read an image as grayscale, float32 in 0..1.

    The full range of the file's bit depth maps to 0..1 (8 bit: divided by 255; 16 bit: by 65535), without
    windowing or stretching. Pillow's own conversion of 16-bit pixels to 8 bits clips everything above 255 to
    white, which is why ``convert("L")`` must not be called on a radiograph. Colours become luminance (ITU-R
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


def to_gray_pil(path: Path) -> Image.Image:
    """What `to_pil` reads, in gray of 8 bits."""
    if not is_dicom(path):
        with _opened(path) as image:
            if image.mode == "L" and not image.has_transparency_data:
                return ImageOps.exif_transpose(image)
    return to_pil(path).convert("L")


def check_image(path: Path) -> tuple[int, int]:
    """Decide whether a file can be used as a picture, by decoding it once; the only place that decides it.

    Finds everything that `load_image` finds, and what a decoder silently accepts: any altered byte of a
    PNG (its check sums), a JPEG cut short that ends with an end mark all the same, JPEG data that libjpeg
    warns about. It does not find a JPEG or DICOM altered so that it is still valid (docs/datasets.md).

    Returns:
        ``(height, width)`` as stored.

    Raises:
        MissingFileError, MissingDependencyError: as `load_image`.
        DataError: as `load_image`; or damage of these kinds, one side over a hundred times the other, a JPEG
            with more passes than any encoder writes.
    """
    if is_dicom(path):
        height, width = check_dicom(path)
    else:
        width, height = _check_plain(path)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(f"{path}: expected a picture, got a strip of {width} x {height} pixels")
    return height, width


def _check_plain(path: Path) -> tuple[int, int]:
    """`check_image` of a PNG or JPEG."""
    with _opened(path, decode=False) as image:
        size, is_png = image.size, image.format == "PNG"
        if is_png:
            image.verify()  # the check sum of every chunk; the file must then be opened again
        else:
            _check_jpeg(path, image)
            image.getexif()
    if is_png:
        with _opened(path) as image:
            image.getexif()  # which is read for the orientation, and may be broken
    return size


def _check_jpeg(path: Path, image: Image.Image) -> None:
    with open_regular(path) as file:
        found = damage(file.read(MAX_FILE_BYTES))
    if found:
        raise DataError(f"{path}: the image is truncated or broken ({found}); copy or download it again")
    # Decoding is wanted, pixels are not.
    image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()


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
            with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
                if decode:
                    image.load()
                yield image
    except RadflowError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{path}: refused as a possible decompression bomb ({error}); scale it down"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected a PNG or JPEG image or a DICOM file, got {_named(path)}") from None
    except Exception as error:  # Pillow's readers of pixels, chunks and EXIF raise many kinds
        raise DataError(
            f"{path}: the image is truncated or broken ({error}); copy or download it again"
        ) from None


def _named(path: Path) -> str:
    """What a file is that is neither PNG nor JPEG, where Pillow knows; told by its first bytes."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            return f"{image.format}; save it as PNG"
    except Exception:  # as above
        return "something else or a broken header"


def _refuse_what_cannot_be_an_image(path: Path) -> None:
    try:
        with open_regular(path, "an image file") as file:
            size = file.seek(0, 2)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such image file") from None
    except RadflowError:
        raise
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror or error})") from None
    if not size:
        raise DataError(f"{path}: the image file is empty (0 bytes); copy or download it again")
    if size > MAX_FILE_BYTES:
        raise DataError(f"{path}: refused, an image file of {size:,} bytes (at most {MAX_FILE_BYTES:,})")


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
