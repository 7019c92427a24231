import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from radflow.config import Policy
from radflow.drafting.studies import Kind, Opened
from radflow.drafting.trained_on import checked, facts_of
from radflow.errors import DataError
from radflow.reports import Report
from radflow.studies import Study
from radflow.studies.training_facts import TrainingFacts

CHEST = TrainingFacts(
    modality="chest-xray",
    drawn=False,
    studies=9,
    fewest_images=2,
    most_images=2,
    views=("frontal",),
    indication_share=0.9,
)


def study(images: int = 2, *, indication: str | None = "Cough.", views: tuple[str, ...] = ()) -> Opened:
    return Opened(
        study=Study(
            study_id="s1",
            patient_id="s1",
            images=(Path("a.png"),) * images,
            reference=Report(text="", findings=None, impression=None),
            indication=indication,
            views=views,
        )
    )


def cautions(opened: Opened, facts: TrainingFacts | None = CHEST, **knobs: bool) -> tuple[str, ...]:
    return checked(opened, facts, Policy(**knobs), said=None).cautions


def test_a_study_like_the_training_studies_needs_no_word() -> None:
    assert cautions(study(views=("frontal", "unknown"))) == ()


@pytest.mark.parametrize(
    ("opened", "facts", "said"),
    [
        (study(), None, "Nothing is known"),
        (study(1), CHEST, "each training study had 2 or more"),
        (
            study(views=("frontal", "lateral")),
            CHEST,
            "had a lateral view; they had frontal.",
        ),
        (study(indication=None), CHEST, "has no indication; 90% of the training studies"),
        (study(), CHEST.model_copy(update={"indication_share": 0.0}), "trained without indications."),
        (study(), CHEST.model_copy(update={"drawn": True}), "trained on drawn pictures"),
    ],
)
def test_every_difference_is_said(opened: Opened, facts: TrainingFacts | None, said: str) -> None:
    [caution] = cautions(opened, facts)
    assert said in caution


def test_an_indication_that_the_prompt_leaves_out_is_said() -> None:
    [caution] = cautions(study(), prompt_context=False)
    assert caution == "The model was trained without indications: this one was not used."
    assert cautions(study(indication=None), prompt_context=False) == ()


def test_nine_pictures_are_not_one_study() -> None:
    with pytest.raises(DataError, match=r"it has 9 pictures, and no training study .* more than 2"):
        cautions(study(9))


@pytest.mark.parametrize(("tag", "region"), [("US", None), ("CT", "chest"), ("MG", None)])
def test_another_dicom_modality_is_refused(tag: str, region: str | None) -> None:
    opened = Opened(study=study().study, kind=Kind(tag, region))
    with pytest.raises(DataError, match=f"its DICOM modality is {tag}, and the model was trained on chest"):
        cautions(opened)


def test_another_region_is_said_and_an_unknown_tag_is_not() -> None:
    [caution] = cautions(Opened(study=study().study, kind=Kind("CR", "bone")))
    assert "shows the bone" in caution
    assert cautions(Opened(study=study().study, kind=Kind("SC", None))) == ()


def test_broken_facts_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text('{"modality": "x"}')
    with pytest.raises(DataError, match=r"training.json: expected what the model was trained on"):
        facts_of(tmp_path)


def test_a_model_refuses_another_modality_and_says_what_else_differs(
    command: Callable, run: Path, tmp_path: Path, film: Callable
) -> None:
    Image.new("L", (40, 40), 90).save(tmp_path / "x.png")
    status, out, err = command("draft", "x.png", "--model", run, "--modality", "carotid-us")
    assert (status, out) == (1, "")
    assert "it is carotid ultrasound, and the model was trained on chest radiographs" in err
    film(tmp_path / "clip.dcm", frames=2)
    assert "its DICOM modality is US" in command("draft", "clip.dcm", "--model", run)[2]
    facts = TrainingFacts.model_validate_json((run / "sft" / "model" / "training.json").read_bytes())
    drawn = facts.model_copy(update={"drawn": True}).model_dump_json()
    (run / "sft" / "model" / "training.json").write_text(drawn)
    status, out, err = command("draft", "x.png", "--model", run, "--json")
    assert status == 0
    assert json.loads(out)["cautions"] == [err.removeprefix("warning: ").strip()]
    assert "trained on drawn pictures" in err
    page = command("draft", "x.png", "--model", run, "--format", "html")[1]
    assert page.count("trained on drawn pictures") == 1
