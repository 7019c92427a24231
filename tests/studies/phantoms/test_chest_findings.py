"""Each finding changes the picture where a radiologist would look for it, averaged over several patients."""

from functools import cache

import numpy as np
import pytest

from radflow.studies.phantoms.chest import draw_chest
from radflow.studies.phantoms.chest.anatomy import heart
from radflow.studies.phantoms.chest.build import Build, lung_point, sample_build
from radflow.studies.phantoms.chest.film import Film
from radflow.studies.phantoms.chest.shapes import reshape
from radflow.studies.phantoms.chest.tags import parse_tag

SIZE = 64
STUDIES = tuple("abc")


@cache
def film_of(tags: tuple[str, ...], study: str) -> np.ndarray:
    return draw_chest(tags, study_id=study, size=SIZE).image.astype(float)


def change(tag: str, study: str) -> np.ndarray:
    """Brightening of the film by a tag, positive where it got denser."""
    return film_of((tag,), study) - film_of((), study)


def halves(tag: str) -> tuple[float, float]:
    """Mean brightening of the patient's right half (left in the image) and left half."""
    mean = np.mean([change(tag, study) for study in STUDIES], axis=0)
    return mean[:, : SIZE // 2].mean(), mean[:, SIZE // 2 :].mean()


def centre_of(tag: str) -> tuple[float, float]:
    """Where a tag brightens the film, as fractions of width and height."""
    bright = np.mean([np.maximum(change(tag, study), 0) for study in STUDIES], axis=0)
    bright[bright < 2] = 0
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    return float((columns * bright).sum() / bright.sum()), float((rows * bright).sum() / bright.sum())


@pytest.mark.parametrize(
    "finding",
    [
        "Pleural Effusion/{}/small",
        "Opacity/lung/base/{}",
        "Airspace Disease/lung/upper lobe/{}",
        "Consolidation/lung/lower lobe/{}",
        "Infiltrate/lung/{}",
        "Pulmonary Atelectasis/base/{}",
        "Nodule/lung/upper lobe/{}",
        "Mass/lung/lower lobe/{}",
        "Calcified Granuloma/lung/lower lobe/{}",
        "Calcinosis/lung/hilum/lymph nodes/{}",
        "Cicatrix/lung/apex/{}",
        "Thickening/pleura/{}",
        "Costophrenic Angle/{}/blunted",
        "Diaphragm/{}/elevated",
        "Implanted Medical Device/{}",
        "Catheters, Indwelling/{}",
        "Fractures, Bone/ribs/{}/multiple",
        "Fractures, Bone/clavicle/{}",
    ],
)
def test_a_side_is_the_patients_side(finding):
    right = halves(finding.format("right"))
    left = halves(finding.format("left"))
    assert right[0] > 0.02 and right[0] > 2 * abs(right[1]) - 0.05
    assert left[1] > 0.02 and left[1] > left[0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_pneumothorax_darkens_its_side(side):
    right, left = halves(f"Pneumothorax/{side}/large")
    assert (right < -0.5 and abs(left) < 0.2) if side == "right" else (left < -0.5 and abs(right) < 0.2)


def test_zones_lie_one_above_the_other():
    heights = [
        centre_of(f"Nodule/lung/{zone}/right")[1]
        for zone in ("apex", "upper lobe", "hilum", "middle lobe", "base")
    ]
    assert heights == sorted(heights)
    assert heights[-1] - heights[0] > 0.3


def test_lingula_is_left_and_middle_lobe_right():
    assert centre_of("Opacity/lung/lingula")[0] > 0.55
    assert centre_of("Opacity/lung/middle lobe")[0] < 0.45


@pytest.mark.parametrize(
    "degrees",
    [
        [f"Pleural Effusion/left{d}" for d in ("/small", "", "/moderate", "/large")],
        [f"Opacity/lung/lower lobe/right{d}" for d in ("/mild", "", "/severe")],
        [f"Diaphragm/right/elevated{d}" for d in ("/mild", "", "/severe")],
        [f"Pulmonary Edema{d}" for d in ("/mild", "", "/severe")],
        [f"Lung/hypoinflation{d}" for d in ("/mild", "", "/severe")],
    ],
)
def test_more_of_a_finding_is_brighter(degrees):
    totals = [sum(halves(tag)) for tag in degrees]
    assert totals == sorted(totals) and totals[0] > 0


def heart_width(build: Build) -> float:
    film = Film.blank(128, build.pose)
    across = np.flatnonzero((heart(film, build) > 0).any(axis=0))
    return float(across[-1] - across[0]) * film.pixel_cm


@pytest.mark.parametrize("study", range(6))
def test_the_heart_is_wider_by_degree(study):
    build = sample_build(np.random.default_rng(study))
    widths = [heart_width(build)]
    for degree in ("/borderline", "/mild", "", "/moderate", "/severe"):
        larger = reshape(build, parse_tag("Cardiomegaly" + degree), np.random.default_rng(0))
        assert larger is not None
        widths.append(heart_width(larger))
    assert widths == sorted(widths) and widths[-1] > 1.3 * widths[0]


def test_the_drawn_heart_has_its_cardiothoracic_ratio():
    build = sample_build(np.random.default_rng(0))
    assert heart_width(build) / (2 * build.half_width) == pytest.approx(build.heart_ratio, rel=0.06)


def test_inflation_moves_the_diaphragm():
    build = sample_build(np.random.default_rng(0))
    deep = reshape(build, parse_tag("Lung/hyperdistention"), np.random.default_rng(0))
    shallow = reshape(build, parse_tag("Lung/hypoinflation"), np.random.default_rng(0))
    assert deep is not None and shallow is not None
    assert shallow.dome[0] < build.dome[0] < deep.dome[0]
    assert deep.sulcus[0] < build.sulcus[0], "hyperinflated lungs flatten the domes"
    assert deep.heart_width < build.heart_width


def test_scoliosis_bows_to_the_named_side():
    build = sample_build(np.random.default_rng(0))
    for side, sign in (("right", -1), ("left", 1)):
        bowed = reshape(build, parse_tag(f"Scoliosis/thoracic vertebrae/{side}"), np.random.default_rng(0))
        assert bowed is not None and sign * (bowed.curve - build.curve) > 1


def test_a_tortuous_aorta_widens_the_upper_mediastinum():
    x, y = centre_of("Aorta/tortuous")
    assert 0.3 < x < 0.7 and 0.2 < y < 0.6


def test_lung_points_keep_to_their_lung():
    build = sample_build(np.random.default_rng(0))
    for hand, sign in ((0, -1), (1, 1)):
        (x0, y0), (x1, y1) = lung_point(build, hand, 0.2, 0.2), lung_point(build, hand, 0.8, 0.9)
        assert 0 < sign * x0 < sign * x1 < build.half_width
        assert build.apex < y0 < y1 < build.dome[hand] + build.sulcus[hand]


def test_findings_do_not_move_each_other():
    alone = change("Nodule/lung/upper lobe/right", "a")
    pair = draw_chest(
        ["Nodule/lung/upper lobe/right", "Fractures, Bone/clavicle/left"], study_id="a", size=SIZE
    )
    other = draw_chest(["Fractures, Bone/clavicle/left"], study_id="a", size=SIZE)
    assert np.abs(pair.image.astype(float) - other.image - alone).max() < 12
