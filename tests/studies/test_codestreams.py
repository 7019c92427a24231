"""Half a JPEG or JPEG 2000 picture is told from a whole one, however it ends."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from radflow.studies.codestreams import MAX_SCANS, damage

NOISE = Image.effect_noise((96, 80), 60)
JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 4},
    "colour": {"mode": "RGB"},
    "CMYK": {"mode": "CMYK"},
}


def jpeg(mode: str = "L", **options: object) -> bytes:
    file = io.BytesIO()
    NOISE.convert(mode).save(file, "JPEG", **options)  # ty: ignore[invalid-argument-type]
    return file.getvalue()


def jpeg_2000(**options: object) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, "JPEG2000", no_jp2=True, **options)  # ty: ignore[invalid-argument-type]
    return file.getvalue()


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_is_cut_and_ended(options: dict[str, object]) -> None:
    whole = jpeg(**options)
    assert damage(whole) is None
    assert damage(whole + b"\0" * 100) is None, "archives append a little"
    start = whole.index(b"\xff\xda") + 20
    for share in (0.0, 0.3, 0.6, 0.9, 0.98):
        cut = whole[: int(start + share * (len(whole) - start))]
        assert damage(cut) == "no end mark"
        assert damage(cut + b"\xff\xd9") is not None, f"cut at {share:.0%}"


def test_what_a_jpeg_hides_in_its_data_is_often_found() -> None:
    """No check sum guards a JPEG, so this is a share and not all; Pillow alone finds none of them."""
    whole, draw = jpeg(), random.Random(0)
    start, found = whole.index(b"\xff\xda") + 20, 0
    for _ in range(100):
        altered = bytearray(whole)
        altered[draw.randrange(start, len(whole) - 2)] ^= draw.randrange(1, 256)
        found += damage(bytes(altered)) is not None
    assert 10 < found < 90


def test_a_jpeg_of_a_thousand_passes() -> None:
    whole = jpeg(progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    assert damage(whole[:-2] + scan * MAX_SCANS + b"\xff\xd9") == f"more than {MAX_SCANS} passes"


def test_what_libjpeg_does_not_read_is_left_to_the_decoder() -> None:
    assert damage(b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00\xff\xd9") is None


@pytest.mark.parametrize("options", [{}, {"tile_size": (32, 32)}], ids=["one tile", "nine tiles"])
def test_jpeg_2000_that_is_cut(options: dict[str, object]) -> None:
    whole = jpeg_2000(**options)
    assert damage(whole) is None
    assert damage(whole + b"\0") is None, "DICOM pads to an even length"
    for size in range(20, len(whole) - 2, 97):
        assert damage(whole[:size]) is not None
        assert damage(whole[:size] + b"\xff\xd9") is not None, f"cut at {size}"


def test_jpeg_2000_without_one_of_its_tiles() -> None:
    whole = jpeg_2000(tile_size=(32, 32))
    second = [at for at in range(len(whole)) if whole.startswith(b"\xff\x90\x00\x0a", at)][1]
    length = int.from_bytes(whole[second + 6 : second + 10], "big")
    assert damage(whole[:second] + whole[second + length :]) == "8 of 9 tiles"


@pytest.mark.parametrize("seed", range(3))
def test_no_garbage_is_a_traceback(seed: int) -> None:
    draw = random.Random(seed)
    for whole in (jpeg(), jpeg(progressive=True), jpeg_2000(), jpeg_2000(tile_size=(32, 32))):
        for _ in range(60):
            altered = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.3 else whole)
            for _ in range(draw.randrange(1, 9)):
                altered[draw.randrange(min(len(altered), 400))] = draw.randrange(256)
            damage(bytes(altered))
