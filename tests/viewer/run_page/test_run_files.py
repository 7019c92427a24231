import json
import math

import pytest

from radflow.errors import DataError, MissingFileError
from radflow.viewer.records import Interval
from radflow.viewer.run_page.run_files import read_log, read_run


def test_a_whole_run_is_read(run):
    files = read_run(run)
    assert files.results.gain["reward"].mean == pytest.approx(0.094)
    assert files.results.shuffled["carotid_f1"].fall.low > 0
    assert files.exploration.critical_share.picked == 0.99
    assert files.rft.best_step == 10
    assert files.cases[0].systems["sft"].marks[0].kind == "contradict"
    assert 'name = "Carotid quickstart"' in files.recipe


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("results.json", "results"),
        ("metrics.jsonl", "log"),
        ("exploration/summary.json", "exploration"),
        ("rft/summary.json", "rft"),
        ("evaluation/cases.json", "cases"),
        ("recipe.toml", "recipe"),
    ],
)
def test_a_missing_file_is_none_and_the_rest_is_read(run, name, part):
    (run / name).unlink()
    files = read_run(run)
    assert getattr(files, part) is None
    others = {"results", "log", "exploration", "rft", "cases", "recipe"} - {part}
    assert all(getattr(files, other) is not None for other in others)


def test_a_folder_that_is_none_and_an_empty_one_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="expected the folder of a run"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match=r"expected results\.json or metrics\.jsonl"):
        read_run(tmp_path)


def test_broken_json_names_file_and_line(run):
    (run / "results.json").write_text('{"systems": {},\n "gain": oops}')
    with pytest.raises(DataError, match=r"results\.json, line 2: expected JSON"):
        read_run(run)


def test_a_value_of_the_wrong_kind_names_file_and_place(run):
    (run / "results.json").write_text(json.dumps({"gain": {"reward": {"mean": "much", "low": 0, "high": 1}}}))
    with pytest.raises(DataError, match=r"results\.json, at gain\.reward\.mean: .*'much'"):
        read_run(run)


def test_a_recipe_that_is_no_toml_is_named(run):
    (run / "recipe.toml").write_text("name =")
    with pytest.raises(DataError, match=r"recipe\.toml: expected TOML"):
        read_run(run)


def test_text_that_is_not_utf8_is_named(run):
    (run / "results.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(DataError, match="expected UTF-8"):
        read_run(run)


def test_null_and_nan_both_read_as_nan(run):
    text = '{"gain": {"a": {"mean": null, "low": NaN, "high": 1}, "b": {"mean": 0.5}}}'
    (run / "results.json").write_text(text)
    gain = read_run(run).results.gain
    assert math.isnan(gain["a"].mean)
    assert math.isnan(gain["a"].low)
    assert math.isnan(gain["b"].high)


def test_unknown_keys_are_ignored(run):
    (run / "rft" / "summary.json").write_text('{"best_step": 4, "weights": "abc"}')
    assert read_run(run).rft.best_step == 4


@pytest.mark.parametrize("line", ["{oops", "[1]", '{"step": 1}', '{"stage": "sft", "step": 1.5}'])
def test_a_broken_log_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"stage": "sft", "step": 1}}\n{line}\n{{"stage": "sft", "step": 2}}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: "):
        read_log(path)


def test_a_last_line_cut_off_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "sft", "step": 1, "loss": 2.0}\n\n{"stage": "sft", "st')
    assert read_log(path).series("sft", "loss") == [(1, 2.0)]


def test_a_broken_last_line_that_is_complete_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "sft", "step": 1}\n{"stage": "sft", "st\n')
    with pytest.raises(DataError, match="line 2"):
        read_log(path)


def test_series_sorts_by_step_and_keeps_the_last_of_a_step_done_twice(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [("rft", 2, 5.0), ("rft", 1, 4.0), ("rft", 2, 6.0), ("sft", 1, 9.0), ("rft", 3, None)]
    path.write_text(
        "".join(json.dumps({"stage": stage, "step": step, "kl": kl}) + "\n" for stage, step, kl in lines)
    )
    log = read_log(path)
    assert log.series("rft", "kl")[:2] == [(1, 4.0), (2, 6.0)]
    assert math.isnan(log.series("rft", "kl")[2][1])
    assert log.series("rft", "reward") == []


def test_an_interval_excludes_zero_only_when_it_lies_on_one_side():
    assert Interval(mean=-1.0, low=-2.0, high=-0.1).excludes_zero
    assert not Interval(mean=0.1, low=0.0, high=0.2).excludes_zero
    assert not Interval(mean=0.1, low=-0.1, high=0.2).excludes_zero
