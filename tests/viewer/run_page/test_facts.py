import json

from radflow.viewer.records import Interval, Results, ShuffledImages
from radflow.viewer.run_page.facts import recipe_facts, run_facts, subject, tiles
from radflow.viewer.run_page.run_files import read_run


def test_the_tiles_are_reward_label_f1_and_the_look_at_the_picture(run):
    found = tiles(read_run(run).results)
    assert [(tile.name, tile.mean, tile.tone) for tile in found] == [
        ("Carotid label F1 (rules) of RadFlow", "0.741", ""),
        ("Total reward", "+0.094", "better"),
        ("Carotid label F1 (rules)", "+0.015", "better"),
        ("Looks at the picture", "+0.473", "better"),
    ]


def test_a_fall_that_reaches_zero_is_no_look_at_the_picture():
    fall = ShuffledImages(
        true=Interval(mean=1.0), shuffled=Interval(mean=1.0), fall=Interval(mean=0.0, low=-1.0, high=1.0)
    )
    assert [tile.tone for tile in tiles(Results(shuffled={"reward": fall}))] == ["worse"]


def test_the_facts_say_what_was_run_on_what(run):
    facts = dict(run_facts(read_run(run)))
    assert facts["Images"] == "drawn"
    assert facts["Evaluated on"] == "600 test studies"
    assert facts["RFT step chosen"] == "10 of 14, on validation"
    assert facts["Time"] == "2 min 58 s"


def test_recipe_facts_leave_out_what_is_not_named(run):
    facts = dict(recipe_facts(read_run(run).recipe))
    assert facts["Clip range"] == "0.2 normal, 0.05 critical"
    assert facts["SFT"] == "8 epochs, batch 16, rate 0.002"
    assert "Judge" not in facts
    assert recipe_facts(None) == []


def test_one_sentence_says_what_was_trained_on_what(run):
    (run / "prepare").mkdir()
    splits = ["train"] * 1200 + ["test"] * 600
    lines = [json.dumps({"study_id": str(number), "split": split}) for number, split in enumerate(splits)]
    (run / "prepare" / "studies.jsonl").write_text("\n".join(lines))
    assert subject(read_run(run)) == (
        "The model “tiny” was trained on 1,200 studies of carotid ultrasound (images drawn by a program), "
        "and measured on 600 test studies."
    )


def test_a_model_in_a_folder_is_named_without_its_place(run):
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"tiny"', '"/home/somebody/models/vlm"'))
    assert subject(read_run(run)).startswith("The model “vlm” was trained on")
