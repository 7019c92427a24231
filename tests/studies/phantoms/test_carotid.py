"""Whole studies: what comes out, that it is the same everywhere, and how much of what there is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.studies.phantoms.carotid import CarotidText, draw_carotid_study, draw_carotid_text

DIGEST = """
import hashlib
from radflow.studies.phantoms.carotid import draw_carotid_study
study = draw_carotid_study(41, seed=3, size=96)
words = repr((study.truth, study.findings, study.impression, study.indication)).encode()
print(hashlib.sha256(words + b"".join(sheet.tobytes() for sheet in study.images.values())).hexdigest())
"""


@pytest.fixture(scope="module")
def texts() -> list[CarotidText]:
    return [draw_carotid_text(index, seed=0) for index in range(1500)]


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def either(text: CarotidText, holds) -> bool:
    return any(holds(text.truth[name]) for name in ("right", "left"))


def test_same_study_in_another_process_and_after_other_studies():
    other = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
    draw_carotid_study(5, seed=3, size=96)
    study = draw_carotid_study(41, seed=3, size=96)
    words = repr((study.truth, study.findings, study.impression, study.indication)).encode()
    sheets = b"".join(sheet.tobytes() for sheet in study.images.values())
    assert hashlib.sha256(words + sheets).hexdigest() == other.stdout.strip()


@settings(max_examples=15, deadline=None)
@given(index=st.integers(0, 100_000), seed=st.integers(0, 100))
def test_text_alone_is_the_text_of_the_drawing(index: int, seed: int):
    study, text = draw_carotid_study(index, seed=seed, size=64), draw_carotid_text(index, seed=seed)
    assert all(getattr(study, field) == value for field, value in vars(text).items())


@pytest.mark.parametrize("size", [64, 96, 192, 225])
def test_sheets_are_grey_squares_right_first(size: int):
    images = draw_carotid_study(0, seed=0, size=size).images
    assert list(images) == ["right", "left"]
    for sheet in images.values():
        assert sheet.shape == (size, size)
        assert sheet.dtype == np.uint8
        assert sheet.min() < 20 < 200 < sheet.max()
    assert not np.array_equal(images["right"], images["left"])


def test_another_seed_is_another_data_set():
    a, b = (draw_carotid_study(0, seed=seed, size=96) for seed in (0, 1))
    assert a.study_id == b.study_id
    assert not np.array_equal(a.images["right"], b.images["right"])


def test_studies_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="index from 0 on, got -1"):
        draw_carotid_text(-1, seed=0)
    with pytest.raises(ValueError, match="at least 64 pixels, got 32"):
        draw_carotid_study(0, seed=0, size=32)


def test_truth_survives_json_and_decides_critical(texts: list[CarotidText]):
    for text in texts:
        assert json.loads(json.dumps(text.truth)) == text.truth
        assert text.critical == either(text, lambda side: bool(side["plaques"]) or side["imt_mm"] >= 1.0)


def test_prevalences(texts: list[CarotidText]):
    assert 0.55 < share([text.critical for text in texts]) < 0.65
    assert 0.4 < share([either(text, lambda side: bool(side["plaques"])) for text in texts]) < 0.6
    assert 0.15 < share([either(text, lambda side: side["stenosis_percent"] >= 50) for text in texts]) < 0.3
    assert 0.005 < share([either(text, lambda side: side["psv"] == 0) for text in texts]) < 0.05


def test_study_ids_are_unique_and_patients_return(texts: list[CarotidText]):
    patients = [text.patient_id for text in texts]
    assert len({text.study_id for text in texts}) == len(texts)
    assert 0.4 < len(set(patients)) / len(texts) < 0.7
