import base64
import csv
import io
import json

from radflow.viewer.run_page.downloads import downloads
from radflow.viewer.run_page.run_files import read_run


def content(found):
    kind, _, data = found.uri.partition(";charset=utf-8;base64,")
    return kind, base64.b64decode(data).decode()


def test_the_table_and_the_cases_can_be_taken_along(run):
    table, cases, whole = downloads(read_run(run), "A run")
    kind, text = content(table)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert kind == "data:text/csv"
    assert {row["system"] for row in rows} == {"template", "sft", "radflow", "radflow − sft"}
    assert next(row["mean"] for row in rows if row["metric"] == "bleu2" and row["system"] == "sft") == "0.552"
    rows = list(csv.DictReader(io.StringIO(content(cases)[1])))
    assert [row["system"] for row in rows[:3]] == ["reference", "radflow", "sft"]
    said = json.loads(content(whole)[1])
    assert len(said["cases"]) == 3
    assert said["cases"][0]["systems"]["sft"]["parts"]["impression"] is None


def test_no_file_of_this_machine_is_named(run):
    assert "images/0-left.png" not in content(downloads(read_run(run), "A run")[-1])[1]


def test_a_run_without_results_or_cases_offers_nothing(run):
    (run / "results.json").unlink()
    (run / "evaluation" / "cases.json").unlink()
    assert downloads(read_run(run), "A run") == []
