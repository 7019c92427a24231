import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDS = [
    {
        "study_id": "a",
        "prediction": "No effusion.",
        "reference": "Findings: No effusion. Impression: Normal.",
    },
    {"study_id": "b c", "prediction": "FINDINGS:\nEdema.\nIMPRESSION:\nEdema.", "reference": "Edema."},
]


def lines(records: list[dict[str, str]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text(lines(RECORDS))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_printed_and_written(command: Callable, reports: Path, tmp_path: Path) -> None:
    status, out, err = command("score", reports, "--metrics", "bleu2, chexpert_f1", "--out", "scores")
    assert (status, err) == (0, "")
    assert "p.jsonl: 2 pairs" in out
    assert "0 empty, 2 distinct of 2 reports" in out
    scores = rows(tmp_path / "scores" / "scores.csv")
    assert [row["study_id"] for row in scores] == ["a", "b c"]
    assert all(0 <= float(row["bleu2"]) <= 1 for row in scores)
    summary = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert summary["pairs"] == 2
    assert set(summary["metrics"]) == {"bleu2", "chexpert_f1", "corpus_macro_f1", "corpus_micro_f1"}
    for name in ("chexpert_f1", "corpus_macro_f1", "corpus_micro_f1"):
        assert summary["metrics"][name]["mean"] == 1.0
    assert summary["baselines"]["template"]["metrics"]["corpus_macro_f1"]["mean"] is not None
    assert "Corpus macro F1 (rules) ↑" in out
    assert "0.50 positives per report, references 0.50" in out
    assert "Corpus micro F1 (rules)" in (tmp_path / "scores" / "report.html").read_text()
    labels = [json.loads(line) for line in (tmp_path / "scores" / "labels.jsonl").read_text().splitlines()]
    assert labels[1] == {"study_id": "b c", "generated": ["Edema"], "reference": ["Edema"]}
    command("score", reports, "--metrics", "bleu2", "--out", "scores")
    assert not (tmp_path / "scores" / "labels.jsonl").exists()


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_other_formats_score_the_same(name: str, command: Callable, reports: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".json":
        path.write_text(json.dumps({r["study_id"]: r for r in RECORDS}))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, RECORDS[0])
            writer.writeheader()
            writer.writerows(RECORDS)
    for file in (reports, path):
        assert command("score", file, "--metrics", "rouge_l", "--out", file.suffix[1:])[0] == 0
    found, expected = (tmp_path / f / "scores.csv" for f in (path.suffix[1:], "jsonl"))
    assert found.read_text() == expected.read_text()


def test_what_does_not_pair_is_said(command: Callable, reports: Path, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(lines([{"id": "a", "text": "Normal."}, {"id": "z", "text": "x"}]))
    _, out, _ = command("score", reports, "--reference", "r.jsonl", "--metrics", "bleu2")
    assert "warning: 1 predictions without a reference, left out: b c" in out
    assert "warning: 1 references without a prediction, left out: z" in out


def test_an_empty_report_is_counted_and_scores_nothing(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "a", "prediction": null, "reference": "Edema."}\n')
    status, out, _ = command("score", "p.jsonl", "--metrics", "bleu2", "--out", "s")
    assert status == 0
    assert "1 empty, 1 distinct of 1 reports" in out
    assert float(rows(tmp_path / "s" / "scores.csv")[0]["bleu2"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "none.csv"), "none.csv: no such file"),
        (("score", "p.jsonl", "--reference", "none.csv"), "none.csv: no such file"),
        (("score", "p.jsonl", "--metrics", "bleu3"), "got 'bleu3'. Did you mean 'bleu"),
        (("score", "broken.jsonl"), "broken.jsonl:2: expected JSON"),
        (("score", "p.jsonl", "--metrics", "bleu2", "--out", "way/s"), "cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(
    arguments: tuple[object, ...], message: str, command: Callable, reports: Path
) -> None:
    folder = reports.parent
    (folder / "way").write_text("a file in the way")
    (folder / "broken.jsonl").write_text(lines(RECORDS[:1]) + '{"study_id": "b"')
    status, _, err = command(*arguments)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def many(count: int) -> list[dict[str, str]]:
    return [
        {
            "study_id": f"s {i}",
            "patient_id": f"p{i // 2}",
            "prediction": f"No edema in part {i}.",
            "reference": f"Edema in part {i % 7}.",
        }
        for i in range(count)
    ]


def test_the_frame_stands_beside_the_numbers(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", lines(many(30)))
    _, out, _ = command("score", "p.jsonl", "--metrics", "rouge_l,chexpert_f1", "--system", "mine")
    assert "template: the most frequent of the references themselves" in out
    assert "random report: another study's reference, drawn at random" in out
    assert "CheXpert F1 (rules)" in out
    assert "intervals: bootstrap over 15 patients" in out
    assert "100.0% are asserted by one and denied by the other" in out
    assert "warning: No clear gain over the template, which looks at no image, on" in out
    assert "one asserts what the other denies" in out


def test_baselines_are_made_of_training_reports_where_given(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", lines(many(4)))
    write(
        tmp_path / "t.csv", "study_id,report,indication\nt1,Normal.,cough\nt2,Normal.,cough\nt3,Edema.,fall\n"
    )
    _, out, _ = command("score", "p.jsonl", "--metrics", "bleu2", "--train", "t.csv")
    assert "template: the most frequent training report (2 of 3)" in out


def test_an_indication_decides_the_neighbour(command: Callable, tmp_path: Path) -> None:
    records = [
        {"id": str(i), "text": "x", "reference": f"Report of {why}.", "indication": why}
        for i, why in enumerate(["a cough", "a fall", "the cough", "the fall"])
    ]
    write(tmp_path / "p.jsonl", lines(records))
    command("score", "p.jsonl", "--metrics", "rouge_l", "--out", "s")
    summary = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert list(summary["baselines"]) == ["template", "nearest indication"]
    assert summary["baselines"]["nearest indication"]["metrics"]["rouge_l"]["mean"] == pytest.approx(3 / 4)


def test_the_folder_holds_everything(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", lines([*many(3), {"study_id": "left out", "prediction": "x"}]))
    assert command("score", "p.jsonl", "--metrics", "bleu2", "--out", "s")[0] == 0
    files = {path.name for path in (tmp_path / "s").iterdir()}
    assert files - {"scores.parquet"} == {"report.html", "scores.csv", "scores.json", "unpaired.csv"}
    assert [row["patient_id"] for row in rows(tmp_path / "s" / "scores.csv")] == ["p0", "p0", "p1"]
    assert rows(tmp_path / "s" / "unpaired.csv") == [
        {"study_id": "left out", "side": "prediction", "reason": "no reference"}
    ]
    summary = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert summary["counts"]["predictions_without_reference"] == 1


def test_ids_that_differ_in_spaces_and_case_are_pointed_at(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "p.csv", "study_id,report\n a 1 ,x\nCXR 2,y\n")
    write(tmp_path / "r.csv", "study_id,report\na 1,x\ncxr2,y\n")
    status, out, _ = command("score", "p.csv", "--reference", "r.csv", "--metrics", "bleu2")
    assert status == 0
    assert "p.csv: 1 pairs" in out
    assert "1 of them would pair but for spaces, case or a '.0', such as 'CXR 2' and 'cxr2'" in out


def test_a_run_that_was_killed_ends_with_the_same_files(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from radflow.evaluation import scoring

    write(tmp_path / "p.jsonl", lines(many(1100)))
    arguments = ("score", "p.jsonl", "--metrics", "bleu2")
    assert command(*arguments, "--out", "whole")[0] == 0
    save, saved = scoring._save, []

    def killed(path: Path, table: object) -> None:
        if saved:
            raise KeyboardInterrupt
        save(path, table)
        saved.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_save", killed)
        assert command(*arguments, "--out", "killed")[0] == 130
    assert saved[0].is_file()
    assert not (tmp_path / "killed" / "scores.csv").exists()
    assert command(*arguments, "--out", "killed")[0] == 0
    for name in ("scores.csv", "scores.json", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "killed" / ".partial").exists()


def test_a_rexrank_submission_is_written_and_scores_the_same(command: Callable, tmp_path: Path) -> None:
    records = {
        "CXR1 IM-1": {"section_findings": "Clear.", "section_impression": "Normal."},
        "CXR2 IM-2": {"section_findings": None, "section_impression": "Edema."},
    }
    write(tmp_path / "test.json", json.dumps(records))
    write(tmp_path / "p.csv", "study_id,report\nCXR1 IM-1,Findings: Clear. Impression: Edema.\n")
    arguments = ("--reference", "test.json", "--metrics", "rouge_l", "--out")
    for name in ("back.json", "back.csv"):
        _, out, _ = command("score", "p.csv", *arguments, "s", "--write-rexrank", name)
        assert f"wrote 1 reports to {name}; 1 studies without a prediction are not in it" in out
        assert command("score", name, *arguments, "again")[0] == 0
        assert rows(tmp_path / "again" / "scores.csv") == rows(tmp_path / "s" / "scores.csv")


def test_a_track_scores_the_findings_alone(command: Callable, tmp_path: Path) -> None:
    record = {"id": "a", "text": "Clear.", "reference": "Findings: Clear. Impression: Edema."}
    write(tmp_path / "p.jsonl", lines([record]))
    command("score", "p.jsonl", "--metrics", "rouge_l", "--track", "findings", "--out", "s")
    assert rows(tmp_path / "s" / "scores.csv")[0]["rouge_l"] == "1.0"
    assert json.loads((tmp_path / "s" / "scores.json").read_text())["track"] == "findings"


def test_a_report_of_a_megabyte_is_scored(command: Callable, tmp_path: Path) -> None:
    long = "There is no edema in this part. " * 33_000
    write(tmp_path / "p.csv", f"id,text,reference\na,{long},No edema.\n")
    status, out, _ = command("score", "p.csv", "--metrics", "bleu2")
    assert status == 0
    assert "The reports are longer than their references" in out


def test_excels_semicolons_and_its_byte_order_mark_are_read(command: Callable, tmp_path: Path) -> None:
    write(tmp_path / "p.csv", "\ufeffid;text;reference\r\na;No edema, no mass.;No edema.\r\n")
    assert "p.csv: 1 pairs" in command("score", "p.csv", "--metrics", "bleu2")[1]


def test_consistency_and_the_corpus_stand_beside_the_metrics(command: Callable, tmp_path: Path) -> None:
    report = "Findings: {} Impression: {}"
    told = [
        ("a", report.format("Small left effusion.", "Left effusion."), "Edema."),
        ("b", report.format("No effusion.", "Left effusion."), "Left effusion."),
        ("c", "No sections, possible pneumonia.", "Pneumonia."),
    ]
    (tmp_path / "q.jsonl").write_text(
        lines([{"id": study, "prediction": text, "reference": truth} for study, text, truth in told])
    )
    status, out, _ = command("score", "q.jsonl", "--metrics", "chexpert_f1,consistency", "--out", "s")
    assert status == 0
    assert [row["consistency"] for row in rows(tmp_path / "s" / "scores.csv")] == ["1.0", "0.0", ""]
    summary = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert summary["metrics"]["consistency"]["label"] == "Consistency (rules)"
    assert (summary["metrics"]["consistency"]["mean"], summary["metrics"]["consistency"]["missing"]) == (
        0.5,
        1,
    )
    corpus = summary["chexpert_f1_corpus"]
    assert corpus["micro_f1_14_uncertain_positive"] == pytest.approx(2 * 2 / (3 + 3))
    assert corpus["micro_f1_14_uncertain_negative"] == pytest.approx(2 * 1 / (2 + 3))
    assert "CheXpert F1 (rules) over the corpus" in out


def test_scores_against_other_references_are_not_compared(command: Callable, tmp_path: Path) -> None:
    told = [{"id": study, "prediction": "Edema."} for study in "ab"]
    for name, truth in (("one", "Edema."), ("same", "Edema."), ("other", "Effusion.")):
        (tmp_path / f"{name}.jsonl").write_text(lines([row | {"reference": truth} for row in told]))
        assert command("score", f"{name}.jsonl", "--metrics", "bleu2", "--out", name)[0] == 0
    assert command("compare", "one", "same")[0] == 0
    status, _, err = command("compare", "one", "other")
    assert status == 1
    assert "scored against the same references" in err
