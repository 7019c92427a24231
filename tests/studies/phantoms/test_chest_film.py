import numpy as np
import pytest

from radflow.studies.phantoms.chest.film import (
    FIELD_CM,
    SUPERSAMPLE,
    Film,
    Pose,
    Stroke,
    ellipsoid,
    expose,
    polygon,
    strokes,
    texture,
)

TURNED = Pose(shift_x=1.0, shift_y=-0.5, tilt=0.1)


def test_pixels_inverts_the_coordinate_maps():
    film = Film.blank(64, TURNED)
    row, column = 20, 45
    ((x, y),) = film.pixels([(float(film.x[row, column]), float(film.y[row, column]))])
    assert (x, y) == pytest.approx((column + 0.5, row + 0.5), abs=1e-3)


def test_x_grows_towards_the_right_of_the_image_and_y_downwards():
    film = Film.blank(32, Pose())
    assert film.x[0, 0] == pytest.approx(-film.x[0, -1])
    assert film.x[0, -1] > 0 and film.y[-1, 0] > film.y[0, 0]


@pytest.mark.parametrize("size", [64, 128, 256])
def test_strokes_and_polygons_have_the_same_area_at_every_size(size):
    film = Film.blank(size, TURNED)
    area = (FIELD_CM / size) ** 2
    line = strokes(film, [Stroke(points=[(-5.0, 10.0), (5.0, 10.0)], width=0.4)])
    square = polygon(film, [(-4, 10), (4, 10), (4, 18), (-4, 18)])
    # Pillow's line widths are right to about one sub-pixel.
    assert line.sum() * area == pytest.approx(4.0, abs=10 * film.pixel_cm / SUPERSAMPLE)
    assert square.sum() * area == pytest.approx(64.0, rel=0.08)


def test_an_ellipsoid_has_its_volume():
    film = Film.blank(256, TURNED)
    chord = ellipsoid(film, (1.0, 19.0), (4.0, 6.0), depth=10.0, tilt=0.4)
    assert chord.sum() * film.pixel_cm**2 == pytest.approx(2 / 3 * np.pi * 4 * 6 * 10, rel=0.01)


def test_more_matter_is_brighter_and_air_is_darker():
    def grey(**maps):
        film = Film.blank(32, Pose())
        film.body[...] = 20
        for name, value in maps.items():
            getattr(film, name)[...] = value
        rng = np.random.default_rng(0)
        return expose(film, rng, centre=2.5, contrast=1.5, photons=1e9).mean()

    assert grey(lung=12.0) < grey(lung=12.0, density=0.5) < grey() < grey(bone=2.0) < grey(metal=1.0)
    assert grey(gas=5.0) < grey()


def test_noise_falls_with_exposure():
    def spread(photons):
        film = Film.blank(64, Pose())
        film.body[...] = 10
        return expose(film, np.random.default_rng(0), centre=2.0, contrast=1.5, photons=photons).std()

    assert spread(1e3) > 2 * spread(1e5)


def test_texture_is_the_same_at_every_size():
    small = texture(Film.blank(64, Pose()), np.random.default_rng(3), 8)
    large = texture(Film.blank(256, Pose()), np.random.default_rng(3), 8)
    assert np.corrcoef(large.reshape(64, 4, 64, 4).mean((1, 3)).ravel(), small.ravel())[0, 1] > 0.99
