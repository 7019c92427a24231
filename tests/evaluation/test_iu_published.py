"""`benchmarks/iu_published.py`: R2Gen's protocol, number for number, and the table through the command."""

import importlib
import json
import tomllib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# By `clean_report_iu_xray` of R2GenCMN (Apache-2.0), which is R2Gen's, and a split at blanks.
CLEANED = [
    ("1. Heart size normal.. 2. No effusion... 3. Clear", "heart size normal . no effusion . clear ."),
    ('T-spine (mild) <2 cm> at 7:30; 45% "stable"/old\\new', "t-spine mild 2 cm at 730 45 stableoldnew ."),
    ("The patient's heart. Lungs are clear", "the patients heart . lungs are clear ."),
    ("No focal consolidation.No effusion.", "no focal consolidationno effusion ."),
    ("Size 1.5 cm. Seen 5. Cleared. 6. Six", "size 15 cm . seen . cleared . 6 . six ."),
    ("", "."),
    ("a. . b?!", "a . . b ."),
    ("line one.\nline two.  Three.", "line one line two . three ."),
    ("1. 1. 2. x", "2 . x ."),
    ("Café [A] {b} = c@d", "café a b cd ."),
]
GENERATED = [
    "heart size is normal . lungs are clear .",
    "no pleural effusion .",
    "the lungs are clear . no pneumothorax . no pneumothorax .",
    "",
    "cardiomegaly .",
]
REFERENCES = [
    "the heart is normal in size . the lungs are clear .",
    "no pleural effusion or pneumothorax .",
    "the lungs are clear . there is no pneumothorax .",
    "lungs clear .",
    "mild cardiomegaly with small effusion .",
]


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("r2gen_protocol"), importlib.import_module("iu_published")


@pytest.mark.parametrize(("text", "cleaned"), CLEANED)
def test_cleaning_is_r2gens(modules, text, cleaned):
    assert " ".join(modules[0].tokens_of(text)) == cleaned


def test_a_reference_is_cut_and_its_rare_words_are_unknown(modules):
    protocol, _ = modules
    vocabulary = protocol.vocabulary_of([["clear", "clear", "lung"], ["clear", "lung"]])
    assert vocabulary == {"clear"}
    assert protocol.reference_tokens(["clear", "lung"] * 40, vocabulary) == ["clear", "<unk>"] * 29 + [
        "clear"
    ]


def test_the_figures_are_pycocoevalcaps(modules):
    """Version 1.2 on these pairs; no Java and no 100 MB package is needed to test it."""
    protocol, _ = modules
    ours, theirs = ([text.split() for text in side] for side in (GENERATED, REFERENCES))
    bleu = protocol.bleu(protocol.bleu_statistics(ours, theirs).sum(axis=0)).tolist()
    assert bleu == pytest.approx(
        [0.5794480622966883, 0.45500540272142276, 0.37500715694905185, 0.28830499900287176], abs=1e-9
    )
    assert protocol.rouge_l(ours, theirs) == pytest.approx(0.5484145239422212, abs=1e-12)
    assert protocol.cider(ours, theirs) == pytest.approx(2.063014666045131, abs=1e-12)


@pytest.fixture
def split(modules, monkeypatch):
    """Five training studies, two to validate on, three to test."""
    _, table = modules
    found = table.R2GenSplit(
        train=dict(enumerate(["The lungs are clear."] * 3 + ["No effusion. Lungs are clear."] * 2)),
        validate={10: "No effusion. Lungs are clear. Heart is normal.", 11: "No effusion. Lungs are clear."},
        test={20: "The lungs are clear.", 21: "No effusion.", 22: "Cardiomegaly. The lungs are clear."},
    )
    monkeypatch.setattr(table.R2GenSplit, "read", lambda: found)
    return found


def test_the_best_constant_is_chosen_on_the_validation_studies(modules, split):
    assert modules[1].best_constant(split) == "No effusion. Lungs are clear."


def test_a_run_stands_beside_controls_and_published_rows(modules, split, tmp_path, monkeypatch, capsys):
    _, command = modules
    reports = {
        "CXR20": "Findings: The lungs\nare clear. Impression: Effusion.",
        "CXR22": "Cardiomegaly. The lungs are clear.",
        "CXR99": "Findings: Not in the split.",
    }
    (tmp_path / "run" / "generate").mkdir(parents=True)
    lines = [json.dumps({"study_id": study, "text": text}) for study, text in reports.items()]
    (tmp_path / "run" / "generate" / "radflow.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr("sys.argv", ["iu_published.py", str(tmp_path / "run"), "--json"])
    command.main()
    *controls, row = json.loads(capsys.readouterr().out)["measured"]
    assert [control["distinct"] for control in controls[:2]] == [1, 1]
    assert row["system"] == "run/radflow"
    assert (row["studies"], row["without_report"], row["not_in_the_split"]) == (2, 1, 1)
    assert row["bleu4_whole"] == row["micro_f1_14"] == row["micro_f1_13"] == 1
    assert row["bleu1"] < 1  # "cardiomegaly" is unknown to the vocabulary of these training studies
    monkeypatch.setattr("sys.argv", ["iu_published.py", str(tmp_path / "run")])
    command.main()
    shown = capsys.readouterr().out
    assert "run/radflow: scored on 2 of R2Gen's 3 test studies; 1 predictions are of other studies" in shown
    assert "R2Gen (EMNLP 2020)" in shown


@pytest.mark.parametrize("study", ["CXR", "s50414267", "p10/CXR3"])
def test_an_id_of_another_data_set_is_refused(modules, study):
    with pytest.raises(modules[1].DataError, match="expected an id of IU X-Ray"):
        modules[1].study_number(study)


def test_every_published_row_has_its_source_and_figures_in_range(modules):
    _, command = modules
    rows = tomllib.loads(command.PUBLISHED.read_text(encoding="utf-8"))
    known = {*command.WORDS, *command.LABELS}
    for row in [row for rows_of_kind in rows.values() for row in rows_of_kind]:
        figures = {name: value for name, value in row.items() if name not in ("system", "source", "differs")}
        assert row["source"] and row["differs"] and figures and figures.keys() <= known
        assert all(0 <= value < 1 for value in figures.values())
        orders = [figures[name] for name in ("bleu1", "bleu2", "bleu3", "bleu4") if name in figures]
        assert orders == sorted(orders, reverse=True)
