"""Image files to pixels: bit depths, colours, and everything that is not a whole image."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import load_image, to_pil
from radflow.studies.images import check_image

CASES = Path(__file__).parents[3] / "shared" / "cases" / "files"
RAMP = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)  # ty: ignore[invalid-argument-type]
    return path


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return save(tmp_path / "ramp.png", np.tile(RAMP, (8, 8)))


def test_8_bit_gray_is_divided_by_255(tmp_path: Path) -> None:
    image = load_image(save(tmp_path / "a.png", RAMP))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, RAMP / 255, atol=1e-7)


def test_16_bit_gray_keeps_its_range(tmp_path: Path) -> None:
    deep = np.array([[0, 255, 256], [32768, 65534, 65535]], dtype=np.uint16)
    path = save(tmp_path / "deep.png", deep)
    np.testing.assert_allclose(load_image(path), deep / 65535, atol=1e-7)
    # Pillow alone would give 255 for everything from 255 up.
    assert np.asarray(to_pil(path))[..., 0].tolist() == [[0, 1, 1], [128, 255, 255]]


def test_colour_becomes_luminance_and_stays_for_the_processor(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    path = save(tmp_path / "red.png", red)
    assert load_image(path)[0, 0] == pytest.approx(0.299, abs=0.002)
    np.testing.assert_array_equal(np.asarray(to_pil(path)), red)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_gives_one_plane_in_0_to_1(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"{mode}.png"
    Image.fromarray(RAMP).convert(mode).save(path)
    image = load_image(path)
    assert image.shape == (16, 16)
    assert image.min() == 0.0
    assert image.max() == 1.0
    assert to_pil(path).mode == "RGB"


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    clear = np.full((4, 4, 4), 255, dtype=np.uint8)
    clear[:2, :, 3] = 0
    assert load_image(save(tmp_path / "clear.png", clear)).mean() == 0.5


def test_jpeg_and_its_orientation(tmp_path: Path) -> None:
    wide = np.zeros((16, 32), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = save(tmp_path / "photo.jpg", wide, exif=exif)
    assert load_image(path).shape == (32, 16)
    assert to_pil(path).size == (16, 32)
    assert check_image(path) == (16, 32)


def test_a_photograph_with_previews(tmp_path: Path) -> None:
    """MPO: a JPEG with more of them behind it, as cameras and phones write."""
    path = tmp_path / "photo.jpg"
    ramp = Image.fromarray(RAMP)
    ramp.save(path, format="MPO", save_all=True, append_images=[ramp.rotate(90)])
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert check_image(path) == (16, 16)
    np.testing.assert_allclose(load_image(path), RAMP / 255, atol=0.05)


def test_the_photograph_that_stopped_a_preparation() -> None:
    path = CASES / "mpo.jpg"
    if not path.is_file():
        pytest.skip("the cases are not here")
    assert check_image(path) == load_image(path).shape == (200, 300)


def test_the_film_with_an_empty_table() -> None:
    pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")
    path = CASES / "modlut_empty.dcm"
    if not path.is_file():
        pytest.skip("the cases are not here")
    assert check_image(path) == load_image(path).shape == (64, 64)


def test_a_strip_is_no_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "strip.png", np.zeros((1, 1000), np.uint8))
    with pytest.raises(DataError, match="got a strip of 1000 x 1 pixels"):
        check_image(path)


def test_every_altered_byte_of_a_png_is_found(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.png", RAMP[:4, :4]).read_bytes()
    path = tmp_path / "altered.png"
    for at in range(len(whole) - 12):  # all but the end mark, which holds nothing
        altered = bytearray(whole)
        altered[at] ^= 0x10
        path.write_bytes(altered)
        with pytest.raises(DataError):
            check_image(path)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_is_a_traceback_or_breaks_a_picture_that_was_passed(tmp_path: Path, seed: int) -> None:
    draw, ramp = random.Random(seed), Image.fromarray(RAMP)
    files = [tmp_path / "a.png", tmp_path / "a.jpg", tmp_path / "mpo.jpg"]
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp.convert("RGBA").save(files[0], exif=exif)
    ramp.save(files[1], exif=exif)
    ramp.save(files[2], format="MPO", save_all=True, append_images=[ramp])
    for path in files:
        whole = path.read_bytes()
        for _ in range(50):
            altered = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.2 else whole)
            for _ in range(draw.randrange(1, 4)):
                if altered:
                    altered[draw.randrange(len(altered))] = draw.randrange(256)
            path.write_bytes(altered)
            try:
                check_image(path)
            except DataError:
                continue
            to_pil(path)


@pytest.mark.parametrize("function", [load_image, to_pil, check_image])
class TestBadFiles:
    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "JPEG2000", "BMP"])
    def test_another_format_by_its_name(
        self, function: Callable[[Path], object], tmp_path: Path, kind: str
    ) -> None:
        Image.fromarray(RAMP).save(tmp_path / "a.png", format=kind)
        with pytest.raises(DataError, match=f"expected a PNG or JPEG .*, got {kind}; save it as PNG"):
            function(tmp_path / "a.png")

    def test_what_would_never_end(self, function: Callable[[Path], object], tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        for name, words in (("pipe.png", "got a FIFO"), ("zero.png", "got a device")):
            with pytest.raises(DataError, match=f"expected an image file, {words}"):
                function(tmp_path / name)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("a\0.png", "a name no file can have"),
            ("\ud800.png", "a name no file can have"),
            ("x" * 5000, "too long"),
        ],
        ids=["NUL", "surrogate", "long"],
    )
    def test_names_that_no_file_has(
        self, function: Callable[[Path], object], tmp_path: Path, name: str, words: str
    ) -> None:
        with pytest.raises(DataError, match=words):
            function(tmp_path / name)

    @pytest.mark.parametrize("chunk", [b"zTXt", b"iCCP", b"IDAT"])
    def test_a_bomb_in_a_chunk(
        self, function: Callable[[Path], object], tmp_path: Path, chunk: bytes
    ) -> None:
        """What inflates to 64 MB costs a small part of that, whether it is refused or passed over."""
        packed = zlib.compress(bytes(2**26))
        parts = [(b"IHDR", struct.pack(">2I5B", 8, 8, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(72)))]
        parts[1:1] = [(chunk, packed if chunk == b"IDAT" else b"name\0\0" + packed)]
        path = tmp_path / "bomb.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
                for name, data in (*parts, (b"IEND", b""))
            )
        )
        tracemalloc.start()
        with contextlib.suppress(DataError):
            function(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**23

    def test_missing(self, function: Callable[[Path], object], tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match=r"gone\.png: no such image"):
            function(tmp_path / "gone.png")

    def test_empty(self, function: Callable[[Path], object], tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        with pytest.raises(DataError, match=r"empty\.png: the image file is empty \(0 bytes\)"):
            function(tmp_path / "empty.png")

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    @pytest.mark.parametrize("kind", ["png", "jpg"])
    def test_truncated(
        self, function: Callable[[Path], object], tmp_path: Path, share: float, kind: str
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
        whole = save(tmp_path / f"whole.{kind}", noise).read_bytes()
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="truncated"):
            function(path)

    def test_text_named_png(self, function: Callable[[Path], object], tmp_path: Path) -> None:
        (tmp_path / "text.png").write_text("<html>not found</html>")
        with pytest.raises(DataError, match="expected a PNG or JPEG"):
            function(tmp_path / "text.png")

    def test_folder(self, function: Callable[[Path], object], tmp_path: Path) -> None:
        with pytest.raises(DataError, match="got a folder"):
            function(tmp_path)

    def test_decompression_bomb(
        self, function: Callable[[Path], object], png: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for limit in (100, 10_000):  # above twice the limit Pillow raises, above the limit it only warns
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
            with pytest.raises(DataError, match="decompression bomb"):
                function(png)

    @pytest.mark.parametrize("name", ["scan.dcm", "IM000001"])
    def test_dicom_without_a_picture(
        self, function: Callable[[Path], object], tmp_path: Path, name: str
    ) -> None:
        pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
        with pytest.raises(DataError, match=f"{name}: the DICOM file holds no pixel data"):
            function(tmp_path / name)


@pytest.mark.parametrize("function", [load_image, check_image])
def test_damage_in_the_middle(function: Callable[[Path], object], png: Path) -> None:
    content = bytearray(png.read_bytes())
    content[len(content) // 2] ^= 0xFF
    png.write_bytes(bytes(content))
    with pytest.raises(DataError, match="truncated or broken"):
        function(png)


def test_real_radiographs(iu_xray: Path) -> None:
    paths = sorted((iu_xray / "images").glob("*.png"))
    assert len(paths) == 9
    for path in paths:
        height, width = check_image(path)
        assert min(height, width) >= 2000
    image = load_image(paths[0])
    assert image.shape == check_image(paths[0])
    assert 0.2 < image.mean() < 0.8
