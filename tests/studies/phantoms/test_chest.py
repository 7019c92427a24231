import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from radflow.errors import DataError
from radflow.studies.phantoms.chest import draw_chest
from radflow.studies.phantoms.chest.findings import FINDINGS
from radflow.studies.phantoms.chest.shapes import SHAPES
from radflow.studies.phantoms.chest.tags import DEGREES, SITES

MANY = ["Cardiomegaly", "Opacity/lung/base/left", "Scoliosis", "Surgical Instruments/mediastinum", "Kyphosis"]


def test_the_same_study_is_the_same_picture_whatever_the_global_generator():
    np.random.seed(1)  # noqa: NPY002 - the point is that the global generator does not matter
    first = draw_chest(MANY, study_id="s", size=96)
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(first.image, draw_chest(MANY, study_id="s", size=96).image)


def test_the_same_study_is_the_same_picture_in_another_process():
    code = (
        "import hashlib; from radflow.studies.phantoms.chest import draw_chest;"
        f"print(hashlib.sha256(draw_chest({MANY!r}, study_id='s', size=64).image.tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_studies_differ():
    a, b = (draw_chest([], study_id=s, size=64).image.astype(float) for s in "ab")
    assert np.abs(a - b).mean() > 5


@pytest.mark.parametrize("tags", [[], MANY])
def test_every_size_shows_the_same_picture(tags):
    large = Image.fromarray(draw_chest(tags, study_id="s", size=256).image)
    small = draw_chest(tags, study_id="s", size=128).image.astype(float)
    apart = np.abs(np.asarray(large.resize((128, 128), Image.Resampling.BOX), float) - small)
    assert apart.mean() < 3


def test_drawn_and_unsupported_share_the_tags_in_their_order():
    drawing = draw_chest(["Kyphosis", "Cardiomegaly/mild", "No Indexing", "normal"], study_id="s", size=32)
    assert drawing.drawn == ("Cardiomegaly/mild", "normal")
    assert drawing.unsupported == ("Kyphosis", "No Indexing")


def test_unsupported_tags_leave_no_mark():
    tags = ["Kyphosis/severe", "Pleural Effusion/posterior", "Deformity/trachea/right"]
    drawing = draw_chest(tags, study_id="s", size=64)
    assert drawing.unsupported == tuple(tags)
    assert np.array_equal(drawing.image, draw_chest([], study_id="s", size=64).image)


# A tag that can be drawn for each finding whose bare name says too little.
FULL_TAGS = {
    "aorta": "aorta/tortuous",
    "aorta, thoracic": "aorta, thoracic/enlarged",
    "arthritis": "arthritis/shoulder/left",
    "bone and bones": "bone and bones/degenerative",
    "calcinosis": "calcinosis/aorta",
    "cardiac shadow": "cardiac shadow/enlarged",
    "cervical vertebrae": "cervical vertebrae/degenerative",
    "deformity": "deformity/ribs/left",
    "diaphragm": "diaphragm/left/elevated",
    "fractures, bone": "fractures, bone/clavicle/right",
    "heart": "heart/left/obscured",
    "heart atria": "heart atria/left/enlarged",
    "heart ventricles": "heart ventricles/left/prominent",
    "humerus": "humerus/right/degenerative",
    "lumbar vertebrae": "lumbar vertebrae/degenerative/severe",
    "lung": "lung/hypoinflation",
    "lymph nodes": "lymph nodes/left/enlarged",
    "mastectomy": "mastectomy/left",
    "mediastinum": "mediastinum/prominent",
    "sclerosis": "sclerosis/clavicle/left",
    "shoulder": "shoulder/left/degenerative",
    "spine": "spine/degenerative",
    "thickening": "thickening/pleura/right",
    "thoracic vertebrae": "thoracic vertebrae/degenerative",
}


@pytest.fixture(scope="module")
def plain():
    return draw_chest([], study_id="s", size=64).image.astype(int)


@pytest.mark.parametrize("finding", sorted(FINDINGS.keys() | SHAPES.keys()))
def test_a_drawn_tag_changes_the_picture(finding, plain):
    drawing = draw_chest([FULL_TAGS.get(finding, finding)], study_id="s", size=64)
    assert drawing.drawn
    assert np.abs(drawing.image.astype(int) - plain).max() > 8


@pytest.mark.parametrize("finding", sorted(FULL_TAGS.keys() - {"mastectomy", "thickening"}))
def test_a_bare_finding_that_says_too_little_is_unsupported(finding, plain):
    drawing = draw_chest([finding], study_id="s", size=64)
    assert not drawing.drawn
    assert np.array_equal(drawing.image, plain)


def test_a_repeated_tag_is_drawn_once():
    once = draw_chest(["Nodule/lung/left"], study_id="s", size=64)
    twice = draw_chest(["Nodule/lung/left"] * 2, study_id="s", size=64)
    assert np.array_equal(once.image, twice.image)
    assert twice.drawn == ("Nodule/lung/left",) * 2


def test_too_small_a_film_is_refused():
    with pytest.raises(DataError, match="study 7: expected a size of at least 16 pixels, got 0"):
        draw_chest([], study_id="7", size=0)


words = st.sampled_from(
    [
        *FINDINGS,
        *SHAPES,
        *SITES,
        *DEGREES,
        "right",
        "left",
        "bilateral",
        "multiple",
        "round",
        "streaky",
        "enlarged",
        "elevated",
        "degenerative",
        "obscured",
        "diffuse",
        "posterior",
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(words | st.text(max_size=8), min_size=1, max_size=5).map("/".join), max_size=6),
    st.text(),
)
def test_arbitrary_tags_never_raise(tags, study_id):
    drawing = draw_chest(tags, study_id=study_id, size=32)
    assert drawing.image.shape == (32, 32) and drawing.image.dtype == np.uint8
    assert sorted(drawing.drawn + drawing.unsupported) == sorted(tags)
