import json
import math

import pytest

from radflow.errors import DataError, MissingFileError
from radflow.evaluation import Interval, Results, ShuffledImages, read_results, write_results
from radflow.evaluation.results import parse_results


def interval(mean):
    return Interval(mean=mean, low=mean - 0.05, high=mean + 0.05)


def results(**changes):
    fields = {
        "systems": {"SFT": {"bleu2": interval(0.3)}, "RadFlow": {"bleu2": interval(0.35)}},
        "gain": {"bleu2": interval(0.05)},
        "cases": 600,
        "images": "drawn",
        "seconds": {"sft": 106.0},
        "shuffled": {
            "carotid_f1": ShuffledImages(true=interval(0.7), shuffled=interval(0.3), fall=interval(0.4))
        },
        "drift": {"SFT": {"positives": 1.3}},
        "versions": {"radflow": "0.1.0"},
    }
    return Results(**{**fields, **changes})


def test_round_trip(tmp_path):
    write_results(tmp_path / "results.json", results())
    assert read_results(tmp_path / "results.json") == results()


def test_the_file_has_the_published_shape(tmp_path):
    write_results(tmp_path / "results.json", results())
    record = json.loads((tmp_path / "results.json").read_text())
    assert (
        record["systems"]["RadFlow"]["bleu2"]
        == {"mean": 0.35, "low": 0.3, "high": 0.4} | record["systems"]["RadFlow"]["bleu2"]
    )
    assert record["gain"]["bleu2"]["mean"] == 0.05
    assert (record["cases"], record["images"], record["seconds"]) == (600, "drawn", {"sft": 106.0})
    assert record["versions"] == {"radflow": "0.1.0"}


def valid():
    return {
        "systems": {"SFT": {"bleu2": {"mean": 0.3, "low": 0.2, "high": 0.4}}},
        "gain": {},
        "cases": 1,
        "images": "real",
        "seconds": {},
    }


def broken(change):
    record = valid()
    change(record)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("gain"), "gain is missing"),
        (lambda r: r.update(cases="many"), "cases: .*integer, got 'many'"),
        (lambda r: r.update(cases=True), "cases: .*integer, got True"),
        (lambda r: r.update(images="synthetic"), "'drawn' or 'real', got 'synthetic'"),
        (lambda r: r.update(seconds=[1]), "seconds: .*, got \\[1\\]"),
        (lambda r: r.update(gain={"bleu2": 0.1}), r"gain\.bleu2: .*, got 0\.1"),
        (
            lambda r: r["systems"]["SFT"].update(bleu2={"mean": 1}),
            r"systems\.SFT\.bleu2\.low: expected a finite number",
        ),
        (lambda r: r["systems"]["SFT"]["bleu2"].update(low=None), r"bleu2\.low: expected a finite number"),
        (lambda r: r["systems"]["SFT"]["bleu2"].update(low=0.9), "low <= high"),
        (lambda r: r.update(shuffled={"bleu2": {}}), r"shuffled\.bleu2\.true: field required"),
    ],
)
def test_every_departure_from_the_schema_is_named(change, message):
    with pytest.raises(DataError, match=message):
        parse_results(broken(change))


def test_the_valid_record_is_valid():
    assert parse_results(valid()).systems["SFT"]["bleu2"].high == 0.4


def test_nothing_is_written_when_a_figure_is_not_finite(tmp_path):
    with pytest.raises(DataError, match="finite"):
        write_results(tmp_path / "results.json", results(seconds={"sft": math.nan}))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"results\.json: expected"):
        read_results(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match=r"results\.json: expected JSON"):
        read_results(tmp_path / "results.json")
