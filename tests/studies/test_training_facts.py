from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from radflow.studies import Study
from radflow.studies.training_facts import TrainingFacts, likeness, training_facts


def bright(path: Path, left: int, right: int, *, gain: float = 1.0) -> Path:
    """A picture of two halves with a little noise, unlike in every file."""
    noise = np.random.default_rng(crc32(path.name.encode())).integers(0, 20, (32, 32))
    pixels = gain * (np.concatenate([np.full((32, 16), left), np.full((32, 16), right)], axis=1) + noise)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_a_picture_of_another_kind_is_not_covered(tmp_path: Path) -> None:
    known = likeness([bright(tmp_path / f"{i}.png", 10 + i, 200) for i in range(60)])
    assert known is not None
    assert known.covers(bright(tmp_path / "same.png", 20, 200))
    assert known.covers(bright(tmp_path / "darker.png", 20, 200, gain=0.6))
    assert not known.covers(bright(tmp_path / "mirrored.png", 200, 10))


def test_few_pictures_say_nothing(tmp_path: Path) -> None:
    assert likeness([bright(tmp_path / "a.png", 0, 100)] * 31) is None


def test_counts_hold_no_id_no_text_and_survive_a_file(studies: list[Study]) -> None:
    facts = training_facts([*studies, replace(studies[0], views=("lateral", "unknown"))])
    assert (facts.studies, facts.fewest_images, facts.most_images) == (4, 1, 2)
    assert (facts.views, facts.indication_share, facts.likeness) == (("lateral",), 0.5, None)
    text = facts.model_dump_json()
    assert TrainingFacts.model_validate_json(text) == facts
    assert not any(said in text for study in studies for said in (study.study_id, study.reference.text))


def test_real_films_and_sonograms_are_told_apart() -> None:
    real = Path(__file__).parents[3] / "shared" / "realdata"
    if not real.is_dir():
        pytest.skip("real pictures (../shared/realdata) are not on this machine")
    films = sorted((real / "iu_xray" / "images_256").glob("*.jpg"))[:: 7426 // 128]
    known = likeness(films)
    assert known is not None
    sonograms = [p for p in sorted((real / "carotid_us").rglob("*.png")) if "mask" not in str(p).lower()][:5]
    assert sonograms
    assert not any(known.covers(path) for path in sonograms)
    assert all(known.covers(path) for path in sorted((real / "iu_xray" / "images").glob("*.png"))[:3])
