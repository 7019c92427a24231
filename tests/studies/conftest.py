"""Small images and studies, and the real files where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.reports import parse_report
from radflow.studies import Study


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """Make a study with one real little PNG under tmp_path."""

    def make(study_id: str = "s1", **fields: object) -> Study:
        image = tmp_path / "images" / f"{study_id}.png"
        image.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(len(study_id)).integers(0, 256, (12, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(image)
        known: dict[str, object] = {
            "patient_id": f"patient of {study_id}",
            "images": (image,),
            "reference": parse_report("Findings: Clear. Impression: Normal."),
        }
        return Study(study_id=study_id, **(known | fields))  # ty: ignore[invalid-argument-type]

    return make


@pytest.fixture
def iu_xray() -> Path:
    """The real Indiana University files; they may not be redistributed, so they are not in the repository."""
    folder = Path(__file__).parents[3] / "shared" / "realdata" / "iu_xray"
    if not folder.is_dir():
        pytest.skip("real IU X-Ray files (../shared/realdata/iu_xray) are not on this machine")
    return folder
