"""The controls that write the report of the nearest training study."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from radflow.config import Policy as Knobs
from radflow.errors import TrainingError
from radflow.policy import Policy, load_policy
from radflow.run.nearest import IMAGE, INDICATION, nearest_reports
from radflow.studies import Study


def never() -> Policy:
    raise AssertionError("no tower is asked for an indication")


def test_the_nearest_indication_is_by_words_that_are_shared(studies: list[Study]) -> None:
    known = ("Chest pain.", "Fall, rule out fracture.", None)
    train = [replace(s, indication=text) for s, text in zip(studies, known, strict=True)]
    asked = ("pain since monday", "after a fall", None)
    test = [replace(studies[0], indication=text) for text in asked]
    texts = [s.reference.canonical for s in train]
    # Without an indication it is the most frequent report, of three alike the first.
    assert nearest_reports(INDICATION, train, test, never) == [texts[0], texts[1], texts[0]]


def test_the_nearest_images_are_a_study_s_own_among_all(policy: Policy, studies: list[Study]) -> None:
    """The same pictures under other ids, in another order; two of a study are one place."""
    order = [2, 0, 1]
    found = nearest_reports(IMAGE, studies, [studies[i] for i in order], lambda: policy)
    assert found == [studies[i].reference.canonical for i in order]


def test_a_policy_that_keeps_no_features_is_refused_in_a_line(folder: Path, studies: list[Study]) -> None:
    policy = load_policy(folder, Knobs(image_features="off", image_workers=0))
    with pytest.raises(TrainingError, match=r"nearest-image asks what the tower sees.*image_features is off"):
        nearest_reports(IMAGE, studies, studies, lambda: policy)


@pytest.mark.release
def test_both_stand_in_the_tables_of_a_run(
    command: Callable[..., tuple[int, str, str]], recipe: Path, tmp_path: Path
) -> None:
    named = "template,nearest-indication,nearest-image"
    status, _, err = command("run", recipe, "--evaluation.controls", named, "--policy.model", "r2gen")
    assert (status, err) == (0, "")
    run = next((tmp_path / "runs").iterdir())
    systems = json.loads((run / "results.json").read_text())["systems"]
    assert set(systems) == {"template", "nearest-indication", "nearest-image", "sft", "radflow"}
    page = (run / "report.html").read_text()
    assert "Nearest indication" in page and "Nearest images" in page
    written = (run / "generate" / "nearest-image.jsonl").read_text().splitlines()
    assert len(written) == 8 and all(json.loads(row)["text"] for row in written)
