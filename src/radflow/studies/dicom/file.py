"""Opening DICOM files: what is refused, and with which message.

Only the tags in `dicom_tags.READ` are parsed, and no message of pydicom is passed on: some of them quote
values. Pixel data stay in the file until a frame is asked for.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from radflow.errors import DataError, MissingDependencyError, MissingFileError, RadflowError
from radflow.files import open_regular
from radflow.studies.dicom.frames import encapsulated_frames, native_frames
from radflow.studies.dicom.tags import MODALITIES, PHOTOMETRIC, READ
from radflow.studies.dicom.values import number_of, text_of, word_of

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_INFLATED_BYTES = 2**29  # what a deflated file may grow to, in memory
_PIECE = 2**20  # bytes inflated at once
_MAX_META_BYTES = 2**20
_PIXEL_DATA = (0x7FE0, 0x0010)
_OTHER_PIXELS = {(0x7FE0, 0x0008): "floating-point", (0x7FE0, 0x0009): "double floating-point"}
_INSTALL = "reading DICOM needs pydicom and its decoders; pip install 'radflow[dicom]'"


@dataclass(frozen=True, kw_only=True)
class DicomFile:
    """One opened DICOM image: checked numbers, and privately the tags that rendering needs.

    Attributes:
        path: the file.
        modality: a word of `dicom_tags.MODALITIES`; ``OT`` where the file says anything else.
        photometric: a word of `dicom_tags.PHOTOMETRIC`.
        rows, columns: of a frame, in pixels.
        samples: 1 (gray or palette) or 3 (colour).
        frames: pictures in the file, at least 1.
        excess_frames: the pixel data hold more pictures than the header says.
        stored: bits of a sample that mean something.
        high_bit: the topmost of them.
        signed: samples are two's complement.
        syntax: UID of the transfer syntax, known to pydicom.
    """

    path: Path
    modality: str
    photometric: str
    rows: int
    columns: int
    samples: int
    frames: int
    excess_frames: bool
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: int
    syntax: str
    tags: Dataset = field(repr=False)
    _source: BufferedIOBase = field(repr=False)
    _value_at: int = field(repr=False)
    _vr: str = field(repr=False)

    def pixel_source(self) -> BufferedIOBase:
        """The open file, at the first byte of the pixel data's value."""
        self._source.seek(self._value_at)
        return self._source

    def options(self) -> dict[str, Any]:
        """What pydicom's decoders must be told about the pixel data."""
        options: dict[str, Any] = {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "photometric_interpretation": self.photometric,
            "number_of_frames": self.frames,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "planar_configuration": self.planar,
            "pixel_keyword": "PixelData",
            "pixel_vr": self._vr,
        }
        if "ExtendedOffsetTable" in self.tags and "ExtendedOffsetTableLengths" in self.tags:
            options["extended_offsets"] = (
                self.tags.ExtendedOffsetTable,
                self.tags.ExtendedOffsetTableLengths,
            )
        return options


def is_dicom(path: Path) -> bool:
    """Is this a DICOM file? Told by its content: ``DICM`` at byte 128, or group 2 or 8 at once (no preamble).

    False too for what cannot be opened.
    """
    try:
        with open_regular(path) as file:
            return looks_like_dicom(file.read(132))
    except (OSError, DataError):
        return False


def looks_like_dicom(head: bytes) -> bool:
    """`is_dicom` of a file's first 132 bytes.

    >>> [looks_like_dicom(head) for head in (bytes(128) + b"DICM", b"\\x08\\0\\x05\\0CS", b"PNG")]
    [True, True, False]
    """
    if head[128:132] == b"DICM":
        return True
    # An element's number below 0x0100, then a type of two capitals or a short length with two zero bytes.
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00"
    big = head[:3] == b"\x00\x08\x00"
    return (little and (head[4:6].isupper() or head[6:8] == b"\0\0")) or (big and head[4:6].isupper())


@contextmanager
def opened(path: Path) -> Generator[DicomFile]:
    """Open a DICOM image and check everything that can be checked without decoding.

    Raises:
        MissingFileError: there is no such file.
        MissingDependencyError: pydicom is not installed.
        DataError: not DICOM, no pixel data, truncated, or a header that contradicts itself or the pixel data;
            more pixels than Pillow's limit against decompression bombs.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise MissingDependencyError(f"{path}: {_INSTALL}") from None
    try:
        with quiet(), open_regular(path, "an image file") as file:
            yield _checked(path, file)
    except RadflowError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such image file") from None
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror or 'broken file'})") from None


@contextmanager
def quiet() -> Generator[None]:
    """Suppress pydicom's warnings and log lines, which may quote values."""
    logger = logging.getLogger("pydicom")
    was = logger.disabled, logger.propagate
    logger.disabled, logger.propagate = True, False  # the second for its children
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            yield
    finally:
        logger.disabled, logger.propagate = was


def _checked(path: Path, file: BufferedIOBase) -> DicomFile:
    tags, source = _header(path, file)
    syntax = _transfer_syntax(path, tags)
    vr, length, start = _pixel_element(path, tags, source)
    numbers = _image_numbers(path, tags)
    limit = Image.MAX_IMAGE_PIXELS and Image.MAX_IMAGE_PIXELS // _weight(numbers)
    if limit and numbers["rows"] * numbers["columns"] > limit:
        raise DataError(
            f"{path}: refused as a possible decompression bomb ({numbers['rows']} x {numbers['columns']} "
            f"pixels, the limit is {limit}); scale it down"
        )
    from pydicom.uid import UID

    count = encapsulated_frames if UID(syntax).is_encapsulated else native_frames
    excess = count(path, source, start, length, numbers)
    modality = word_of(tags, "Modality")
    return DicomFile(
        path=path,
        modality=modality if modality in MODALITIES else "OT",
        excess_frames=excess,
        syntax=syntax,
        tags=tags,
        _source=source,
        _value_at=start,
        _vr=vr,
        **numbers,
    )


def _weight(numbers: Mapping[str, Any]) -> int:
    """How many times the memory of a plain gray pixel one costs on its way to the screen, roughly."""
    if numbers["samples"] == 3 or numbers["photometric"] == "PALETTE COLOR":
        return 3
    return 2 if numbers["allocated"] > 16 else 1


def _header(path: Path, file: BufferedIOBase) -> tuple[Dataset, BufferedIOBase]:
    """The tags before the pixel data, and the stream, which stands at the pixel data element."""
    import pydicom

    if not looks_like_dicom(file.read(132)):
        raise DataError(f"{path}: expected a DICOM file, got something else or a broken header")
    file.seek(0)
    try:
        source = _inflated(path, file)
        tags = pydicom.dcmread(source, stop_before_pixels=True, force=True, specific_tags=list(READ))
    except DataError:
        raise
    except Exception:  # pydicom raises many kinds, and their texts may quote a value
        raise DataError(f"{path}: the DICOM header is truncated or broken; export it again") from None
    return tags, source


def _inflated(path: Path, file: BufferedIOBase) -> BufferedIOBase:
    """The file itself; of a deflated one, a copy in memory that is not, unless it grows beyond the limit."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    head = file.read(144)
    # Group 2 says first how long it is.
    length = struct.unpack("<L", head[140:144])[0] if head[128:140] == b"DICM\x02\0\0\0UL\x04\0" else 0
    group = file.read(min(length, _MAX_META_BYTES))
    if DeflatedExplicitVRLittleEndian.encode() not in group:
        file.seek(0)
        return file
    meta = FileMetaDataset(read_dataset(io.BytesIO(group), is_implicit_VR=False, is_little_endian=True))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain = io.BytesIO()
    plain.write(bytes(128) + b"DICM")
    write_file_meta_info(plain, meta)  # ty: ignore[invalid-argument-type]  # any stream will do
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(_PIECE)
        if not packed:
            raise DataError(f"{path}: the deflated DICOM file is truncated; copy or download it again")
        plain.write(unpacker.decompress(packed, _PIECE))
        if plain.tell() > MAX_INFLATED_BYTES:
            raise DataError(
                f"{path}: refused as a possible decompression bomb (it inflates to over "
                f"{MAX_INFLATED_BYTES} bytes)"
            )
    plain.seek(0)
    return plain


def _transfer_syntax(path: Path, tags: Dataset) -> str:
    """The transfer syntax; of a file without one, what its encoding shows."""
    from pydicom import uid
    from pydicom.pixels import get_decoder

    named = text_of(tags.file_meta, "TransferSyntaxUID")
    if not named:
        implicit, little = tags.original_encoding
        plain = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        named = plain if little else uid.ExplicitVRBigEndian
    known = uid.UID_dictionary.get(named)
    name = known[0] if known and known[1] == "Transfer Syntax" else "not one of the standard's"
    try:
        decoder = get_decoder(named)
    except NotImplementedError:
        raise DataError(
            f"{path}: the pixel data are in a transfer syntax that cannot be read ({name}); "
            "export the picture as PNG, or as DICOM without compression"
        ) from None
    if not decoder.is_available:
        raise MissingDependencyError(f"{path}: no decoder for {name} is installed; {_INSTALL}")
    return named


def _pixel_element(path: Path, tags: Dataset, source: BufferedIOBase) -> tuple[str, int, int]:
    """Type, length and first byte of the pixel data's value; raises where there are none."""
    implicit, little = tags.original_encoding
    order = "<" if little else ">"
    head = source.read(8)
    if not head:
        raise DataError(f"{path}: the DICOM file holds no pixel data (a report, a directory, or truncated)")
    if len(head) < 8:
        raise DataError(f"{path}: the DICOM file is truncated; copy or download it again")
    element = struct.unpack(f"{order}HH", head[:4])
    if element in _OTHER_PIXELS:
        raise DataError(
            f"{path}: expected integer pixels, got {_OTHER_PIXELS[element]} ones; export it as PNG"
        )
    if element != _PIXEL_DATA:
        raise DataError(f"{path}: the DICOM file is truncated or broken before its pixel data")
    if implicit:
        return "OW", struct.unpack(f"{order}L", head[4:])[0], source.tell()
    length = source.read(4)
    if len(length) < 4:
        raise DataError(f"{path}: the DICOM file is truncated; copy or download it again")
    return head[4:6].decode("ascii", "replace"), struct.unpack(f"{order}L", length)[0], source.tell()


def _image_numbers(path: Path, tags: Dataset) -> dict[str, Any]:
    """Size, depth and colour of the picture, each checked against what DICOM allows."""
    photometric = word_of(tags, "PhotometricInterpretation")
    if photometric not in PHOTOMETRIC:
        raise DataError(
            f"{path}: PhotometricInterpretation is missing or not one of {', '.join(sorted(PHOTOMETRIC))}"
        )
    rows, columns = _whole(path, tags, "Rows", 1, 65535), _whole(path, tags, "Columns", 1, 65535)
    gray = photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    wanted = 1 if gray else 3
    samples = _whole(path, tags, "SamplesPerPixel", 1, 4, default=wanted)
    if samples != wanted:
        raise DataError(f"{path}: {photometric} has {wanted} samples per pixel, the file says {samples}")
    allocated = _whole(path, tags, "BitsAllocated", 1, 64)
    if allocated not in (1, 8, 16, 32):
        raise DataError(f"{path}: BitsAllocated should be 1, 8, 16 or 32, got {allocated}")
    stored = _whole(path, tags, "BitsStored", 1, allocated, default=allocated)
    return {
        "photometric": photometric,
        "rows": rows,
        "columns": columns,
        "samples": samples,
        "frames": max(1, _whole(path, tags, "NumberOfFrames", 0, 2**31, default=1)),
        "allocated": allocated,
        "stored": stored,
        "high_bit": _whole(path, tags, "HighBit", stored - 1, allocated - 1, default=stored - 1),
        "signed": _whole(path, tags, "PixelRepresentation", 0, 1, default=0) == 1,
        "planar": _whole(path, tags, "PlanarConfiguration", 0, 1, default=0),
    }


def _whole(path: Path, tags: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number of a tag, in ``[low, high]``. The message names the tag, never its value as text."""
    try:
        missing = keyword not in tags or tags[keyword].is_empty
    except Exception:  # it is there, and cannot be read
        raise DataError(f"{path}: {keyword} should be a whole number") from None
    if missing:
        if default is None:
            raise DataError(f"{path}: the DICOM file has no {keyword}")
        return default
    number = number_of(tags, keyword)
    if number is None or number != int(number):
        raise DataError(f"{path}: {keyword} should be a whole number")
    if not low <= number <= high:
        raise DataError(f"{path}: {keyword} should be from {low} to {high}, got {int(number)}")
    return int(number)
