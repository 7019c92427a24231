"""``radflow baselines run --contract``: other people's systems, in a process of their own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., tuple[int, str, str]]
SYSTEM = """
import argparse, json, os
parser = argparse.ArgumentParser()
for name in ("input_json_file", "save_json_file", "img_root_dir"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
records = json.load(open(asked.input_json_file))
for record in records.values():
    assert all(os.path.isfile(os.path.join(asked.img_root_dir, path)) for path in record["image_path"])
    seen = record["report"] + record["section_findings"] + record["section_impression"]
    count, context = len(record["image_path"]), record["context"]
    record["model_prediction"] = f"Findings: {count} {context}{seen} Impression: x."
print("a word of its own")
"""
WRITE = 'json.dump(records, open(asked.save_json_file, "w"))\n'


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three test studies, one of them with two pictures, and one to train on."""
    lines = []
    for number in range(4):
        paths = [f"images/p{number}/{view}.png" for view in range(1 + number % 2)]
        for path in paths:
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(place)
        study = {
            "study_id": f"s{number}",
            "patient_id": f"p{number}",
            "images": paths,
            "report": "FINDINGS: Secret words. IMPRESSION: Normal.",
            "indication": "Cough." if number else None,
            "split": "test" if number else "train",
            "modality": "chest-xray",
        }
        lines.append(json.dumps({name: value for name, value in study.items() if value is not None}))
    path = tmp_path / "studies.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def system(folder: Path, text: str) -> str:
    (folder / "inference.py").write_text(text)
    return f"{sys.executable} inference.py"


def test_a_system_writes_reports_that_are_scored(command: Command, manifest: Path, tmp_path: Path) -> None:
    called = system(tmp_path, SYSTEM + WRITE)
    status, out, err = command("baselines", "run", manifest, "--contract", called, "--out", "theirs/out.json")
    assert (status, err) == (0, "")
    assert "wrote 3 reports to theirs/out.json" in out
    records = json.loads((tmp_path / "theirs" / "out.json").read_text())
    assert list(records) == ["s1", "s2", "s3"]
    assert records["s1"]["model_prediction"] == "Findings: 2 Indication: Cough. Impression: x."
    assert records["s1"]["section_findings"] == "Secret words."
    assert "a word of its own" in (tmp_path / "theirs" / "out.json.log").read_text()
    status, out, err = command("score", "theirs/out.json", "--metrics", "bleu2")
    assert (status, err) == (0, "") and "BLEU-2" in out


def test_records_as_a_list_are_read_too_and_empty_reports_counted(
    command: Command, manifest: Path, tmp_path: Path
) -> None:
    change = "records['s2']['model_prediction'] = None\nrecords = list(records.values())\n"
    called = system(tmp_path, SYSTEM + change + WRITE)
    status, out, _ = command("baselines", "run", manifest, "--contract", called, "--out", "out.json")
    assert status == 0 and "1 of them are empty" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; print('no GPU'); sys.exit(3)", "exit status 3; it last said: no GPU"),
        ("import os; os.abort()", "signal 6"),
        (SYSTEM, "it ended well and wrote nothing"),
        (SYSTEM + "open(asked.save_json_file, 'w').write('no json')", "expected JSON in --save_json_file"),
        (SYSTEM + "records = 3\n" + WRITE, "expected a JSON object, study id to record"),
        (
            SYSTEM + "del records['s2']; del records['s3']['model_prediction']\n" + WRITE,
            "got none for s2, s3",
        ),
        (SYSTEM + "records['s2']['model_prediction'] = [1]\n" + WRITE, "study s2: expected text"),
    ],
)
def test_what_goes_wrong_in_a_system_is_one_line(
    command: Command, manifest: Path, tmp_path: Path, text: str, said: str
) -> None:
    called = system(tmp_path, text)
    status, _, err = command("baselines", "run", manifest, "--contract", called, "--out", "out.json")
    assert status == 1 and said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


def test_a_system_that_takes_too_long_ends_with_all_it_started(
    command: Command, manifest: Path, tmp_path: Path
) -> None:
    child = "import time, pathlib; time.sleep(6); pathlib.Path('late').touch()"
    text = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n"
    called = system(tmp_path, text)
    status, _, err = command(
        "baselines", "run", manifest, "--contract", called, "--out", "out.json", "--timeout", 2
    )
    assert status == 1 and "ended after 2 seconds" in err and len(err.splitlines()) == 1
    time.sleep(6)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--contract": "no-such-program x"}, "no such program: 'no-such-program'"),
        ({"--contract": ""}, "no such program"),
        ({"--contract": "python 'x"}, "No closing quotation"),
        ({"--out": "out.csv"}, "expected a name ending in .json"),
        ({"--split": "validate"}, "expected studies of the split validate, got none among 4"),
        ({"--timeout": "0"}, "expected seconds above 0"),
        ({"--folder": "nowhere"}, "no such folder: nowhere"),
    ],
)
def test_bad_input_is_one_line(command: Command, manifest: Path, changed: dict[str, str], said: str) -> None:
    options = {"--contract": f"{sys.executable} x.py", "--out": "out.json"} | changed
    status, _, err = command("baselines", "run", manifest, *(w for pair in options.items() for w in pair))
    assert status == 1 and said in err and len(err.splitlines()) == 1


def test_no_manifest_is_one_line(command: Command, tmp_path: Path) -> None:
    status, _, err = command("baselines", "run", tmp_path, "--contract", "true", "--out", "out.json")
    assert status == 1 and "expected a manifest, a run's folder or a recipe" in err
