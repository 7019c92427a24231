import base64
import io

import numpy as np
import pytest
from PIL import Image

from radflow.viewer.pictures import SIZES, embed, embed_all


def decoded(picture):
    head, data = picture.uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        image.load()
        return image


def save(path, values):
    Image.fromarray(values).save(path)
    return path


def test_a_picture_is_shrunk_to_its_longest_edge(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((300, 600), np.uint8))
    picture = embed(path, edge=200)
    assert (picture.width, picture.height) == (200, 100)
    assert decoded(picture).size == (200, 100)


def test_a_small_picture_is_not_enlarged_and_loses_nothing(tmp_path):
    values = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    assert np.array_equal(np.asarray(decoded(embed(save(tmp_path / "a.png", values)))), values)


def test_colour_stays_colour(tmp_path):
    values = np.zeros((16, 16, 3), np.uint8)
    values[..., 0] = 250
    red, green, blue = decoded(embed(save(tmp_path / "a.png", values))).convert("RGB").getpixel((8, 8))
    assert red > 200
    assert green < 40
    assert blue < 40


def test_sixteen_bit_grey_is_stretched_over_its_range(tmp_path):
    values = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    shown = np.asarray(decoded(embed(save(tmp_path / "a.png", values))))
    assert shown.min() <= 2
    assert shown.max() >= 253


def test_sixteen_bit_grey_of_one_value_does_not_divide_by_zero(tmp_path):
    assert embed(save(tmp_path / "a.png", np.full((8, 8), 500, np.uint16))).uri


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_broken_file_says_so_without_its_folder(tmp_path, content):
    path = tmp_path / "secret" / "a.png"
    path.parent.mkdir()
    path.write_bytes(content)
    picture = embed(path)
    assert picture.uri == ""
    assert picture.problem == "a.png: not an image that can be shown here"


def test_a_truncated_png_says_so(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    assert "not an image" in embed(path).problem


def test_a_missing_file_says_so(tmp_path):
    assert embed(tmp_path / "b.png").problem == "b.png: the image file is missing"


def test_pictures_shrink_until_they_fit_the_budget(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (SIZES[0][0], SIZES[0][0]), np.uint8)
    path = save(tmp_path / "a.png", noise)
    roomy = embed_all([path])[path]
    assert max(roomy.width, roomy.height) == SIZES[0][0]
    tight = embed_all([path], budget=len(roomy.uri) // 2)[path]
    assert tight.width < roomy.width
    assert len(tight.uri) <= len(roomy.uri) // 2
    assert embed_all([path], budget=1)[path].width == SIZES[-1][0]
