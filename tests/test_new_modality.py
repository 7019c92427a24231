"""A modality is one record: radflow with abdominal CT in its table, and nothing else changed, does it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import radflow
from command_line import SMALL
from ward.abdomen_ct import RECORD

END = '    )\n}\n"""Name to record.'
REPORTS = (
    ("Two liver lesions. No ascites.", "Hepatic metastases."),
    ("No liver lesion. Free air below the diaphragm.", "Free air."),
    ("Moderate ascites. No free air.", "Ascites."),
)

COMMANDS = """\
import contextlib, io, json, sys
from radflow.cli import main

printed = []
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main(arguments)
        except SystemExit as end:
            if end.code:
                raise
    printed.append(out.getvalue())
"""
"""Several commands in one process, for its imports take longer than they do; what they print, in order."""


@pytest.fixture
def with_ct(tmp_path: Path) -> Callable[..., list[Any]]:
    """``with_ct(command, ..., then=code)``: commands in ``tmp_path``, by a radflow with one record more.

    It has a process of its own, for the record is in its ``modality.py``. Returns what each command printed,
    and whatever ``code`` adds to ``printed``.
    """
    package, ours = tmp_path / "lib" / "radflow", Path(radflow.__file__).parent
    package.mkdir(parents=True)
    for entry in ours.iterdir():
        if entry.name not in ("modality.py", "__pycache__"):
            (package / entry.name).symlink_to(entry)
    table = (ours / "modality.py").read_text()
    assert table.count(END) == 1
    (package / "modality.py").write_text(table.replace(END, RECORD + END))
    path = os.pathsep.join((str(package.parent), str(Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def with_ct(*commands: tuple[object, ...], then: str = "") -> list[Any]:
        ran = subprocess.run(
            [sys.executable, "-c", f"{COMMANDS}{then}\nprint(json.dumps(printed))"],
            input=json.dumps([[str(argument) for argument in command] for command in commands]),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    return with_ct


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 36 studies with pictures, whose modality a column says."""
    rows = ["study_id,patient_id,image,report,split,modality"]
    splits = ("train",) * 8 + ("validate", "validate", "test", "test")
    for n in range(36):
        pixels = np.random.default_rng(n).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        findings, impression = REPORTS[n % 3]
        report = f"FINDINGS: {findings} IMPRESSION: {impression}"
        rows.append(f"s{n},p{n},{n}.png,{report},{splits[n // 3]},abdomen-ct")
    path = tmp_path / "reports.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


ASKED = """\
from pathlib import Path
from radflow.drafting.studies import Kind, Opened
from radflow.drafting.trained_on import checked
from radflow.config import Policy
from radflow.errors import DataError
from radflow.judges.base import critical
from radflow.judges import load
from radflow.metrics import default_metrics, score
from radflow.rewards import HierarchicalReward
from radflow.studies import read_manifest
from radflow.studies.training_facts import training_facts

studies = read_manifest(Path("studies.jsonl")).studies
liver, air = studies[0], studies[1]
wrong = "Findings: No liver lesion. Impression: Free air."
facts = training_facts(studies[:3])
own = default_metrics("abdomen-ct")[-2:]

def refusal(kind):
    try:
        return checked(Opened(study=liver, kind=kind), facts, Policy(), said=None).cautions[-1]
    except DataError as error:
        return str(error)

said = {
    "modality": liver.modality,
    "critical": critical(load("rules"), studies[:3]),
    "metrics": own,
    "scores": {k: v.tolist() for k, v in score([wrong], [air.reference.text], own).items()},
    "rewards": [r.parts for r in HierarchicalReward(modality="abdomen-ct")(air, [air.reference.text, wrong])],
    "drafts": [refusal(Kind("CT", "head")), refusal(Kind("US", None))],
}
printed.append(said)
"""


def test_one_record_is_enough(with_ct: Callable[..., list[Any]], table: Path, tmp_path: Path) -> None:
    prepare = ("prepare", "table", "--root", tmp_path, "--out", "studies.jsonl")
    account, said = with_ct((*prepare, "--columns.modality", "modality"), then=ASKED)
    assert "liver lesion: 12 (33%)" in account
    assert "critical: 12 (33%)" in account
    assert said["modality"] == "abdomen-ct"
    assert said["critical"] == [False, True, False]
    assert said["metrics"] == ["abdomen_terms", "abdomen_f1"]
    assert said["scores"] == {"abdomen_terms": [1.0], "abdomen_f1": [1.0]}
    right, wrong = said["rewards"]
    assert (right["domain"], right["consistency"], right["impression"]) == (1.0, 1.0, 1.0)
    assert (wrong["domain"], wrong["consistency"], wrong["impression"]) == (pytest.approx(2 / 3), -1.0, 1.0)
    assert said["drafts"] == [
        "The file says that it shows the head; the model was trained on abdominal CT.",
        "study s0: its DICOM modality is US, and the model was trained on abdominal CT",
    ]


@pytest.mark.release
@pytest.mark.slow
def test_commands_take_it_by_name(with_ct: Callable[..., list[Any]], table: Path, tmp_path: Path) -> None:
    (tmp_path / "system.csv").write_text("study_id,prediction,reference\ns1,Free air.,Findings: Free air.\n")
    (tmp_path / "ct.toml").write_text(
        SMALL.replace(
            "count = 60\nimage_size = 64",
            f'source = "table"\nroot = "{tmp_path}"\ntable = "{table.name}"\nmodality = "abdomen-ct"',
        )
    )
    labels, scores, _, drafted = with_ct(
        ("label", table, "--modality", "abdomen-ct"),
        ("score", "system.csv", "--modality", "abdomen-ct"),
        ("run", "ct.toml", "--out", "run"),
        ("draft", "0.png", "--model", "run", "--json"),
    )
    assert labels.splitlines()[0].endswith("liver lesion,ascites,free air")
    assert "Abdomen F1 (rules)" in scores
    assert "CheXpert" not in scores
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["modality"] == "abdomen-ct"
    assert {"abdomen_f1", "abdomen_terms"} <= set(results["systems"]["radflow"])
    assert "abdominal CT" in (tmp_path / "run" / "report.html").read_text()
    assert "abdominal CT" in (tmp_path / "run" / "rft" / "model" / "README.md").read_text()
    assert json.loads(drafted)["model"] == "small (rft)"
