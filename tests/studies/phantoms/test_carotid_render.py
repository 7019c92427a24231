"""The pictures show what is true: each test draws two sides that differ in one fact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radflow.studies.phantoms.carotid import draw_carotid_study
from radflow.studies.phantoms.carotid.anatomy import DIAMETER_MM, Plaque, Side, Vessel, stream
from radflow.studies.phantoms.carotid.doppler import BASELINE, MAX_VELOCITY
from radflow.studies.phantoms.carotid.geometry import CENTRE
from radflow.studies.phantoms.carotid.render import draw_sheet, panels
from radflow.studies.phantoms.carotid.scan import GOOD, sample_scan

VESSEL = Vessel(calibre=1.0, tilt_mm=0.0, depth_mm=0.0)
PLAQUE = Plaque(
    kind="hard", segment="bulb", surface="smooth", wall="posterior", thickness_mm=3.5, length_mm=10.0
)
HEALTHY = Side(
    imt_mm=0.6, plaques=(), stenosis_percent=0, grade="normal", psv=80, edv=24, ratio=1.0, flow="normal"
)


def with_plaque(**changes) -> Side:
    return replace(HEALTHY, plaques=(replace(PLAQUE, **changes),), grade="<50%", stenosis_percent=40)


def sheet(side: Side, key: int = 0, **scan) -> np.ndarray:
    return draw_sheet(side, VESSEL, stream("test", key), size=192, scan=replace(GOOD, **scan)).astype(float)


def mean_sheet(side: Side) -> np.ndarray:
    """Average the speckle away."""
    return np.mean([sheet(side, key) for key in range(8)], axis=0)


def panel(image: np.ndarray, name: str) -> np.ndarray:
    return image[panels(len(image))[name]]


def columns(segment: str) -> slice:
    centre = CENTRE[segment] * 192
    return slice(round(centre - 14), round(centre + 14))


def peak_velocity(image: np.ndarray) -> float:
    """Read the highest bright point of the spectrum on its scale."""
    spectrum = panel(image, "spectrum")
    base = BASELINE * len(spectrum)
    bright = np.flatnonzero((spectrum > 150).any(axis=1))
    return float((base - bright.min()) / base * MAX_VELOCITY) if bright.size else 0.0


def test_panels_cover_the_sheet_without_overlap():
    for size in (64, 96, 192, 225):
        cover = np.zeros((size, size), int)
        for box in panels(size).values():
            cover[box] += 1
        assert cover.max() == 1
        assert cover.mean() > 0.95


def test_waveform_height_is_the_peak_systolic_velocity():
    velocities = [20, 60, 80, 110, 150, 200, 260, 330, 400]
    read = [peak_velocity(sheet(replace(HEALTHY, psv=psv, edv=psv // 3))) for psv in velocities]
    assert read == sorted(set(read))
    assert np.abs(np.array(read) - velocities).max() < 15


def test_no_flow_no_waveform():
    still = replace(HEALTHY, psv=0, edv=0, ratio=None, flow="absent")
    assert peak_velocity(sheet(still)) < 10
    lumen = slice(8, 13)  # the middle rows of the colour panel
    assert panel(sheet(still), "colour")[lumen].mean() < 0.3 * panel(sheet(HEALTHY), "colour")[lumen].mean()


def test_right_sheet_is_the_right_side():
    checked = 0
    for index in range(60):
        study = draw_carotid_study(index, seed=0)
        velocities = [study.truth[name]["psv"] for name in ("right", "left")]
        if abs(velocities[0] - velocities[1]) < 30:
            continue
        checked += 1
        right, left = (peak_velocity(study.images[name].astype(float)) for name in ("right", "left"))
        assert (right > left) == (velocities[0] > velocities[1])
    assert checked >= 8


@pytest.mark.parametrize("view", ["long", "short"])
def test_hard_plaque_is_bright_and_casts_a_shadow_and_soft_is_neither(view: str):
    where = columns("bulb") if view == "long" else slice(30, 48)
    deep = {kind: panel(sheet(with_plaque(kind=kind)), view)[-8:, where].mean() for kind in ("hard", "soft")}
    bare = panel(sheet(HEALTHY), view)[-8:, where].mean()
    assert deep["hard"] < 0.4 * bare
    assert deep["soft"] > 0.8 * bare
    bright = {
        kind: (panel(sheet(with_plaque(kind=kind)), view) > 180).mean() for kind in ("hard", "soft", "mixed")
    }
    assert bright["soft"] < bright["mixed"] < bright["hard"]


def test_shadow_of_mixed_plaque_is_partial():
    def deep(kind: str) -> float:
        return panel(sheet(with_plaque(kind=kind)), "long")[-8:, columns("bulb")].mean()

    assert deep("hard") < deep("mixed") < deep("soft")


@pytest.mark.parametrize("segment", ["ICA", "bulb", "CCA"])
@pytest.mark.parametrize("wall", ["anterior", "posterior"])
def test_plaque_lies_in_its_segment_on_its_wall(segment: str, wall: str):
    plaque = with_plaque(kind="soft", segment=segment, wall=wall, thickness_mm=0.5 * DIAMETER_MM[segment])
    change = np.abs(panel(mean_sheet(plaque), "long") - panel(mean_sheet(HEALTHY), "long"))
    change[change < 15] = 0
    per_segment = {name: change[:, columns(name)].mean() for name in CENTRE}
    assert max(per_segment, key=per_segment.__getitem__) == segment
    rows = change[:, columns(segment)].mean(axis=1)
    centre_of_change = (rows * np.arange(len(rows))).sum() / rows.sum()
    middle = 0.54 * len(rows)  # where the vessel lies
    assert (centre_of_change < middle) == (wall == "anterior")


def test_plaque_narrows_the_flow():
    def dark_blood(percent: int) -> float:
        side = with_plaque(kind="soft", thickness_mm=round(percent / 100 * 8.8, 1))
        return (panel(sheet(side), "long")[:, columns("bulb")] < 12).mean()

    narrowing = [dark_blood(percent) for percent in (30, 50, 70, 90)]
    assert narrowing == sorted(narrowing, reverse=True)


def test_thickened_intima_fills_more_of_the_view():
    def dark(imt: float) -> float:
        image = sheet(replace(HEALTHY, imt_mm=imt))
        return (panel(image, "long") < 12).mean()

    areas = [dark(imt) for imt in (0.5, 0.8, 1.1, 1.4)]
    assert areas == sorted(areas, reverse=True)
    assert areas[2] < 0.9 * areas[1]


def test_occlusion_fills_the_vessel_towards_the_head():
    plaque = replace(PLAQUE, kind="soft", wall=None, surface=None, thickness_mm=8.8)
    closed = Side(
        imt_mm=0.6,
        plaques=(plaque,),
        stenosis_percent=100,
        grade="occlusion",
        psv=0,
        edv=0,
        ratio=None,
        flow="absent",
    )
    image, bare = panel(sheet(closed), "long"), panel(sheet(HEALTHY), "long")
    middle = slice(45, 52)
    assert image[middle, columns("ICA")].mean() > 4 * bare[middle, columns("ICA")].mean()
    assert image[middle, columns("CCA")].mean() == pytest.approx(bare[middle, columns("CCA")].mean(), abs=3)


def test_surfaces_differ():
    bumps = {name: sheet(with_plaque(surface=name)) for name in ("smooth", "irregular", "ulcerated")}
    long = {name: panel(image, "long")[:, columns("bulb")] for name, image in bumps.items()}
    assert np.abs(long["smooth"] - long["irregular"]).mean() > 3
    assert np.abs(long["smooth"] - long["ulcerated"]).mean() > 3


def test_speckle_is_new_in_every_study_and_correlated():
    a, b = panel(sheet(HEALTHY, 1), "long")[-12:], panel(sheet(HEALTHY, 2), "long")[-12:]
    assert not np.array_equal(a, b)
    centred = a - a.mean(axis=1, keepdims=True)
    next_to = (centred[:, 1:] * centred[:, :-1]).mean() / centred.var()
    far = (centred[:, 40:] * centred[:, :-40]).mean() / centred.var()
    assert next_to > 0.5 > abs(far) + 0.2


def test_gain_and_its_slope_brighten_what_they_should():
    def rows(**scan) -> list[float]:
        view = panel(sheet(HEALTHY, **scan), "long")
        return [view[:20].mean(), view[-12:].mean()]

    good, weak, sloped = rows(), rows(gain=0.6), rows(slope=0.5)
    assert np.divide(weak, good) == pytest.approx([0.6, 0.6], abs=0.05)
    assert sloped[0] < 0.8 * good[0]
    assert sloped[1] > 1.2 * good[1]


def test_calcium_in_front_hides_the_plaque_behind_it():
    plaque, where = with_plaque(kind="soft", thickness_mm=4.0), columns("bulb")
    centre = CENTRE["bulb"]
    wall = slice(60, 78)  # rows of the far wall, where the plaque stands
    seen, hidden, bare = (
        panel(sheet(side, in_front=front), "long")[wall, where].mean()
        for side, front in ((plaque, None), (plaque, (centre, 0.1)), (HEALTHY, (centre, 0.1)))
    )
    assert hidden < 0.4 * seen
    assert abs(hidden - bare) < 0.25 * bare + 3


def test_thin_calcium_is_duller_and_casts_less_shadow():
    def view(calcium: float) -> np.ndarray:
        return panel(sheet(with_plaque(), calcium=calcium), "long")[:, columns("bulb")]

    assert (view(0.4) > 180).mean() < 0.5 * (view(1.0) > 180).mean()
    assert view(0.4)[-8:].mean() > 1.5 * view(1.0)[-8:].mean()


def test_speckle_and_noise_grow():
    tissue = slice(-12, None)
    spread = [panel(sheet(HEALTHY, speckle=s), "long")[tissue].std() for s in (0.4, 0.9)]
    assert spread[1] > 1.4 * spread[0]
    lumen = [panel(sheet(HEALTHY, noise=n), "long")[45:50].mean() for n in (0.01, 0.06)]
    assert lumen[1] > 2 * lumen[0]
    floor = [np.median(panel(sheet(HEALTHY, doppler_noise=n), "spectrum")) for n in (0.0, 0.15)]
    assert floor[1] > 2 * floor[0]


def test_scans_differ_from_each_other_only_where_there_is_difficulty():
    assert {sample_scan(stream(key), difficulty=0) for key in range(20)} == {GOOD}
    hard = [sample_scan(stream(key), difficulty=1) for key in range(200)]
    assert len(set(hard)) == 200
    assert 0.5 < np.mean([scan.in_front is not None for scan in hard]) < 0.7
    assert np.exp(-0.6) <= min(scan.gain for scan in hard) < max(scan.gain for scan in hard) <= np.exp(0.6)
