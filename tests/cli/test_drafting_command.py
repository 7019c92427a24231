import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.config import Recipe, dump_recipe, make_recipe
from radflow.drafting.trained_on import find_model
from radflow.errors import MissingFileError
from radflow.reports.draft import NOTICE
from radflow.studies import Study


def model(folder: Path, name: str = "config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    return folder


def test_a_run_stands_for_its_last_model_with_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(dump_recipe(make_recipe({"policy": {"max_new_tokens": 9}})))
    sft = model(tmp_path / "sft" / "model")
    assert find_model(tmp_path)[0] == sft
    rft = model(tmp_path / "rft" / "model", "adapter_config.json")
    folder, recipe = find_model(tmp_path)
    assert (folder, recipe.policy.max_new_tokens) == (rft, 9)
    assert find_model(sft)[1].policy.max_new_tokens == 9


def test_a_model_of_no_run_gets_the_defaults(tmp_path: Path) -> None:
    folder = model(tmp_path / "a" / "b" / "c")
    assert find_model(folder) == (folder, Recipe(policy={"model": str(folder)}))


def test_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="expected a run's folder, or a model folder"):
        find_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the image file is empty"), (b"hello", "expected a PNG or JPEG image"), (None, "no such image")],
)
def test_a_picture_that_cannot_be_read_is_one_line(
    content: bytes | None, message: str, command: Callable, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    status, out, err = command("draft", "x.png", "--model", "nowhere")
    assert (status, out) == (1, "")
    assert err.startswith("error: x.png: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_consensus_draft_is_one_of_the_samples_and_the_same_again(
    command: Callable, run: Path, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    from radflow.drafting import model

    drawn = []

    def sample(*arguments: object, **how: object) -> list:
        drawn.extend(groups := sample_groups(*arguments, **how))
        return groups

    sample_groups = model.sample_groups
    monkeypatch.setattr(model, "sample_groups", sample)
    asked = (
        "draft",
        studies[1].images[0],
        "--model",
        run,
        "--json",
        "--decoding",
        "consensus",
        "--samples",
        4,
    )
    first, again = (json.loads(command(*asked)[1]) for _ in range(2))
    assert first["text"] == again["text"]
    assert len(drawn[0].texts) == 4
    assert first["text"] in drawn[0].texts
    assert drawn[0].texts == drawn[1].texts


def test_all_forms_at_once(command: Callable, run: Path, tmp_path: Path, studies: list[Study]) -> None:
    import pydicom
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    outs = [
        part for name in ("a.txt", "a.json", "a.html", "a.fhir.json", "a.dcm") for part in ("--out", name)
    ]
    status, out, err = command(
        "draft", *studies[1].images, "--model", run, "--indication", "Cough.", "--subject", "Patient/1", *outs
    )
    assert (status, err) == (0, "")
    assert out == f"wrote a.txt, a.json, a.html, a.fhir.json, a.dcm\n{NOTICE}\n"
    made = json.loads((tmp_path / "a.json").read_text())
    assert (made["model"], made["indication"], made["finished"]) == ("Tiny (sft)", "Cough.", True)
    assert made["text"] == studies[1].reference.canonical
    assert [word["word"] for word in made["words"]] == re.findall(r"\w+", made["text"])
    assert all(0 < word["p"] <= 1 for word in made["words"])
    assert (made["consistent"], made["critical"]) == (True, True)
    assert NOTICE in (tmp_path / "a.txt").read_text()
    assert (tmp_path / "a.html").read_text().count("data:image/") == 2
    report = DiagnosticReport.model_validate_json((tmp_path / "a.fhir.json").read_text())
    assert report.subject.reference == "Patient/1"
    assert pydicom.dcmread(tmp_path / "a.dcm").CompletionFlagDescription == NOTICE


def test_one_form_goes_to_standard_output_alone(command: Callable, run: Path, studies: list[Study]) -> None:
    _, out, _ = command("draft", studies[0].images[0], "--model", run, "--json")
    assert json.loads(out)["notice"] == NOTICE
    _, out, _ = command("draft", studies[0].images[0], "--model", run, "--format", "fhir")
    assert json.loads(out)["status"] == "preliminary"
    _, out, _ = command("draft", studies[0].images[0], "--model", run)
    assert out.startswith(NOTICE) and out.endswith(f"{NOTICE}\n")


def test_the_threshold_decides_which_words_are_marked(
    command: Callable, run: Path, studies: list[Study]
) -> None:
    def marked(threshold: str) -> int:
        drafts = [
            json.loads(command("draft", *study.images, "--model", run, "--json", "--uncertain", threshold)[1])
            for study in studies
        ]
        return sum(len(draft["uncertain"]) for draft in drafts)

    assert marked("0") == 0 < marked("1")


@pytest.mark.parametrize("keep", [False, True])
def test_a_patient_is_kept_in_the_structured_report_alone_and_only_when_asked(
    keep: bool, command: Callable, run: Path, tmp_path: Path, film: Callable
) -> None:
    film(tmp_path / "x.dcm")
    outs = [part for end in ("txt", "json", "html", "fhir.json", "dcm") for part in ("--out", f"a.{end}")]
    status, out, err = command("draft", "x.dcm", "--model", run, *outs, *(["--keep-patient"] if keep else []))
    assert status == 0, err
    for end in ("txt", "json", "html", "fhir.json", "dcm"):
        content = (tmp_path / f"a.{end}").read_bytes()
        named = keep and end == "dcm"
        assert (b"Smith" in content, b"MRN77" in content, b"1.2.3" in content) == (named, named, named)
    assert "Smith" not in out + err


def test_nine_real_radiographs(command: Callable, run: Path, tmp_path: Path) -> None:
    """The path from real films to all forms; the tiny model's words mean nothing."""
    real = Path(__file__).parents[3] / "shared" / "realdata" / "iu_xray"
    if not real.is_dir():
        pytest.skip("real IU X-Ray files (../shared/realdata/iu_xray) are not on this machine")
    rows = [json.loads(line) for line in (real / "paired_9.jsonl").read_text().splitlines()]
    for row in rows:
        (tmp_path / "in" / row["uid"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(real / "images" / row["filename"], tmp_path / "in" / row["uid"])
    forms = [part for form in ("html", "fhir", "sr") for part in ("--format", form)]
    status, out, err = command("draft", "--studies", "in", "--model", run, "--out", "o", *forms)
    assert (status, err) == (0, "")
    assert "7 studies drafted; wrote" in out
    pages = list((tmp_path / "o" / "drafts").glob("*.html"))
    assert sum(page.read_text().count("data:image/") for page in pages) == len(rows) == 9
    assert len(list((tmp_path / "o" / "drafts").iterdir())) == 4 * 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "m"), "got none of them"),
        (("x.png", "--studies", "in", "--model", "m"), "got more than one of them"),
        (("x.png", "--model", "m", "--uncertain", "2"), "expected a probability from 0 to 1, got 2"),
        (("x.png", "--model", "m", "--frames", "0"), "--frames: expected at least 1"),
        (("x.png", "--model", "m", "--samples", "1"), "--samples: expected at least 2, got 1"),
        (("x.png", "--model", "m", "--subject", "John"), "expected a FHIR reference such as Patient/123"),
        (("x.png", "--model", "m", "--keep-patient"), "--keep-patient: expected a DICOM file"),
        (("x.png", "--model", "m", "--out", "x.png/a.html"), "cannot be made"),
        (("x.png", "--model", "m"), "m: expected a run's folder, or a model folder"),
        (
            ("--studies", "in", "--model", "m", "--out", "o", "--indication", "x"),
            "--indication is said of one study",
        ),
        (("--studies", "in", "--model", "m"), "expected one --out FOLDER"),
        (("--studies", "in", "--model", "m", "--out", "o.html"), "expected one --out FOLDER"),
        (("--studies", "in", "--model", "m", "--out", "o"), "m: expected a run's folder, or a model folder"),
        (("--manifest", "none.jsonl", "--model", "m", "--out", "o"), "no such manifest"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], message: str, command: Callable, tmp_path: Path, studies: list[Study]
) -> None:
    shutil.copy(studies[0].images[0], tmp_path / "x.png")
    (tmp_path / "in" / "one").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    status, out, err = command("draft", *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistyped_model_is_said_without_torch(tmp_path: Path, studies: list[Study]) -> None:
    code = (
        "import sys\nfrom radflow.cli import app\n"
        "try:\n    app.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "draft", str(studies[0].images[0]), "--model", str(tmp_path / "nope")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "1 False"
    assert "expected a run's folder, or a model folder" in ran.stderr


def test_an_adapter_on_a_base_that_is_not_there_is_said_before_anything_is_loaded(
    command: Callable, tmp_path: Path, studies: list[Study]
) -> None:
    folder = model(tmp_path / "adapter", "adapter_config.json")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/gone/base"}))
    status, _, err = command("draft", studies[0].images[0], "--model", folder)
    assert (status, err.count("\n")) == (1, 1)
    assert "/gone/base: no such folder" in err
