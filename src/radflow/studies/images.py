"""Image files to pixels. PNG, JPEG and DICOM; gray in 0..1; every failure is one line that names the file."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError

from radflow.errors import DataError, MissingFileError, RadflowError
from radflow.files import open_regular
from radflow.studies.codestreams import jpeg_pixels
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
        return _dicom_picture(load_dicom(path))
    with _opened(path) as image:
        return _deep(image) if image.mode.startswith("I") else _flattened(image)


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
        return _no_strip(path, *check_dicom(path))
    with _whole(path) as image:
        return _no_strip(path, image.height, image.width)


def checked_gray(path: Path) -> Image.Image:
    """`check_image`, and with the same decoding the picture that `to_pil` reads, in gray of 8 bits."""
    if is_dicom(path):
        pixels = load_dicom(path)
        _no_strip(path, *pixels.shape[:2])
        return _dicom_picture(pixels).convert("L")
    with _whole(path) as image:
        _no_strip(path, image.height, image.width)
        if image.mode == "L" and not image.has_transparency_data:
            return ImageOps.exif_transpose(image)
        return (_deep(image) if image.mode.startswith("I") else _flattened(image)).convert("L")


def _no_strip(path: Path, height: int, width: int) -> tuple[int, int]:
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(f"{path}: expected a picture, got a strip of {width} x {height} pixels")
    return height, width


@contextmanager
def _whole(path: Path) -> Generator[Image.Image]:
    """A PNG or JPEG, decoded and found to be whole, as it is stored."""
    with _opened(path, decode=False) as image:
        if image.format != "PNG":
            yield _whole_jpeg(path, image)
            return
        image.verify()  # the check sum of every chunk; the file must then be opened again
    with _opened(path) as image:
        image.getexif()  # which is read for the orientation, and may be broken
        yield image


def _whole_jpeg(path: Path, image: Image.Image) -> Image.Image:
    image.getexif()
    with open_regular(path) as file:
        pixels, found = jpeg_pixels(file.read(MAX_FILE_BYTES), "GRAY" if image.mode == "L" else "RGB")
    if found:
        raise DataError(f"{path}: the image is truncated or broken ({found}); copy or download it again")
    if pixels is None or image.mode not in ("L", "RGB") or pixels.shape[1::-1] != image.size:
        image.load()
        return image
    decoded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
    decoded.info = image.info  # with the orientation
    return decoded


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


def _deep(image: Image.Image) -> Image.Image:
    """RGB of 16-bit gray."""
    return Image.fromarray(np.round(_gray(image) * 255).astype(np.uint8)).convert("RGB")


def _dicom_picture(pixels: Float[np.ndarray, "..."]) -> Image.Image:
    return Image.fromarray(np.round(pixels * 255).astype(np.uint8)).convert("RGB")


def _flattened(image: Image.Image) -> Image.Image:
    """Upright RGB, with transparency shown on black, the background of a radiograph or sonogram."""
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over)
    return image.convert("RGB")
