"""A modality is one record: radflow with abdominal CT in its table, and nothing else changed, does it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def with_ct(tmp_path: Path) -> Callable[..., Ran]:
    """Run Python in ``tmp_path`` with a radflow whose ``modality.py`` has one record more."""
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

    def with_ct(*arguments: object) -> Ran:
        ran = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

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
import json
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
print(json.dumps(said))
"""


def test_one_record_is_enough(with_ct: Callable[..., Ran], table: Path, tmp_path: Path) -> None:
    account = with_ct(
        "-m", "radflow", "prepare", "table", "--root", tmp_path, "--out", "studies.jsonl",
        "--columns.modality", "modality",
    ).stdout  # fmt: skip
    assert "liver lesion: 12 (33%)" in account
    assert "critical: 12 (33%)" in account
    said = json.loads(with_ct("-c", ASKED).stdout)
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


@pytest.mark.slow
def test_commands_take_it_by_name(with_ct: Callable[..., Ran], table: Path, tmp_path: Path) -> None:
    lines = with_ct("-m", "radflow", "label", table, "--modality", "abdomen-ct").stdout.splitlines()
    assert lines[0].endswith("liver lesion,ascites,free air")
    (tmp_path / "system.csv").write_text("study_id,prediction,reference\ns1,Free air.,Findings: Free air.\n")
    shown = with_ct("-m", "radflow", "score", "system.csv", "--modality", "abdomen-ct").stdout
    assert "Abdomen F1 (rules)" in shown
    assert "CheXpert" not in shown

    recipe = tmp_path / "ct.toml"
    recipe.write_text(
        SMALL.replace(
            "count = 60\nimage_size = 64",
            f'source = "table"\nroot = "{tmp_path}"\ntable = "{table.name}"\nmodality = "abdomen-ct"',
        )
    )
    with_ct("-m", "radflow", "run", recipe, "--out", "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["modality"] == "abdomen-ct"
    assert {"abdomen_f1", "abdomen_terms"} <= set(results["systems"]["radflow"])
    assert "abdominal CT" in (tmp_path / "run" / "report.html").read_text()
    assert "abdominal CT" in (tmp_path / "run" / "rft" / "model" / "README.md").read_text()
    record = json.loads(with_ct("-m", "radflow", "draft", "0.png", "--model", "run", "--json").stdout)
    assert record["model"] == "small (rft)"
