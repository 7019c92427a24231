"""The whole workflow on a very small recipe, as a user runs it.

A process of its own costs seconds of imports: it is for what only it shows (a run from nothing, a kill,
torchrun), and every other command runs in this one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.studies.manifest import read_manifest

pytestmark = pytest.mark.slow

STAGES = ["prepare", "sft", "predict", "exploration", "rft", "generate", "evaluation"]


def skipped(output: str) -> list[str]:
    return [line.split(":")[0] for line in output.splitlines() if "done already, inputs unchanged" in line]


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of every file of weights that the stages which train leave."""
    files = sorted(run.glob("*ft/model/*.safetensors")) + sorted(run.glob("controls/*/model/*.safetensors"))
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture
def said(command: Callable) -> Callable[..., str]:
    """Run a command in this process, which must succeed; returns its output."""

    def said(*arguments: object) -> str:
        status, output, errors = command(*arguments)
        assert status == 0, errors
        return output

    return said


def test_from_studies_to_the_page_and_again(
    radflow: Callable, command: Callable, said: Callable, recipe: Path, tmp_path: Path
) -> None:
    first = radflow("run", recipe, "--out", "run", umask=0o027)
    assert first.returncode == 0, first.stderr
    check_modes(tmp_path / "run", 0o027)
    assert skipped(first.stdout) == []
    run = tmp_path / "run"
    check_results(json.loads((run / "results.json").read_text()))
    for page in ("report.html", "sft/model/README.md", "rft/model/README.md"):
        written = (run / page).read_text()
        assert "Corpus macro F1 (rules)" in written
        assert "Positives per report (references " in written
    assert "shuffled among studies" in first.stdout
    assert "Corpus micro F1 (rules) ↑" in first.stdout
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(r["stage"], r["step"]) for r in rows] == [
        *(("sft", step) for step in range(1, 7)),
        *(("rft", step) for step in range(3)),
    ]

    assert skipped(said("run", recipe, "--out", "run")) == STAGES
    check_damage(command, recipe, run)
    check_headroom(said, recipe, run)

    other = ("--exploration.keep_percent", 30, "--exploration.domain", 0)
    fewer = said("explore", recipe, "--out", "run", *other)
    assert skipped(fewer) == ["predict"]  # the reports are there; they are scored and picked anew
    assert "exploration: kept" in fewer

    learnable = ("--exploration.strategy", "learnable", "--exploration.refresh_every", 1)
    consensus = ("--evaluation.decoding", "consensus", "--evaluation.samples", 3)
    weighed = ("--rft.beta", 0.1, "--rft.label_tokens", 2)
    changed = said("run", recipe, "--out", "run", *weighed, *learnable, *consensus)
    assert skipped(changed) == STAGES[:2]
    check_consensus(run)
    assert "Picked again between rollouts" in (run / "report.html").read_text()
    assert (run / "rft" / "rounds" / "001" / "picked.json").exists()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all("label_token_share" in r for r in rows if r["stage"] == "rft" and r["step"])

    check_draft(command, run)


def check_headroom(said: Callable, recipe: Path, run: Path) -> None:
    """The same figures, whether the samples are drawn now or were before a kill; others for other studies."""
    asked = ("headroom", recipe, "--out", "run", "--samples", 3)
    assert "Best of 3 by label F1 is" in said(*asked, "--studies", 4)
    file = run / "headroom" / "headroom.json"
    written = file.read_bytes()
    found = json.loads(written)
    assert (found["split"], found["studies"], found["samples"]) == ("validate", 4, 3)
    assert set(found["policies"]) == {"sft", "rft"}
    assert {"greedy", "best by labels", "consensus"} <= set(found["policies"]["sft"]["decodings"])
    file.unlink()
    pieces = list((run / "headroom").glob("*/samples/00000.jsonl"))
    times = [piece.stat().st_mtime_ns for piece in pieces]
    assert "headroom/headroom.json is missing" in said(*asked, "--studies", 4)
    assert [piece.stat().st_mtime_ns for piece in pieces] == times
    assert len(times) == 2
    assert file.read_bytes() == written


def check_consensus(run: Path) -> None:
    """One of the samples of each study was taken, and everything says so."""
    words = "consensus of 3 samples at temperature 1, by Carotid F1 (rules)"
    assert json.loads((run / "results.json").read_text())["decoding"] == words
    for page in ("report.html", "rft/model/README.md"):
        assert words in (run / page).read_text()
    for system in ("sft", "radflow", "radflow-shuffled"):
        samples = (run / "generate" / "samples" / system / "00000.jsonl").read_text().splitlines()
        taken = (run / "generate" / f"{system}.jsonl").read_text().splitlines()
        for drawn, row in zip(map(json.loads, samples), map(json.loads, taken), strict=True):
            assert len(drawn["samples"]) == 3
            assert row["text"] in drawn["samples"]
            assert drawn["study_id"] == row["study_id"]


def check_modes(run: Path, umask: int) -> None:
    for path in (run, *run.rglob("*")):
        wide = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == wide & ~umask, path


def check_damage(command: Callable, recipe: Path, run: Path) -> None:
    """What is damaged is made again from what is left, bit for bit, and nothing else is."""
    before = digests(run)
    weights, picture = run / "rft" / "model" / "model.safetensors", next(run.rglob("*-left.png"))
    for path in (weights, picture):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    (run / "generate" / "sft.jsonl").unlink()
    (run / "rft" / "model" / "SHA256SUMS").write_text("")
    status, _, errors = command("draft", next(run.rglob("*-right.png")), "--model", run)
    assert status == 1
    assert "SHA256SUMS is damaged" in errors
    status, again, errors = command("run", recipe, "--out", "run")
    assert status == 0, errors
    assert skipped(again) == ["sft", "predict", "exploration"]  # the model card lay beside the weights
    for name in ("SHA256SUMS", "model.safetensors"):
        assert f"rft/model/{name} is damaged" in again
    assert "generate: generate/sft.jsonl is missing" in again
    assert "rft: picking up at step 2 of 2" in again
    assert digests(run) == before


def check_results(results: dict) -> None:
    assert set(results["systems"]) == {"template", "sft", "radflow"}
    for system in results["systems"].values():
        assert {"reward", "reward/syntax", "bleu2", "keyword_match", "carotid_f1", "corpus_macro_f1"} <= set(
            system
        )
        assert all(v["low"] <= v["mean"] <= v["high"] for v in system.values())
    assert {"reward", "carotid_f1", "corpus_macro_f1"} <= set(results["gain"])
    assert (results["cases"], results["images"]) == (8, "drawn")
    assert set(results["seconds"]) >= set(STAGES[:-1])
    assert {"reward", "carotid_f1"} <= set(results["shuffled"])
    assert set(results["shuffled"]["reward"]) == {"true", "shuffled", "fall"}
    assert set(results["drift"]) >= {"sft", "radflow", "reference"}


def check_draft(command: Callable, run: Path) -> None:
    study = read_manifest(run / "prepare" / "studies.jsonl").split("test")[0]
    status, text, errors = command("draft", *study.images, "--model", run)
    assert status == 0, errors
    lines = text.splitlines()
    assert lines[0] == lines[-1] == "Draft written by a model. Not for diagnosis."
    record = json.loads(command("draft", *study.images, "--model", run / "sft" / "model", "--json")[1])
    assert set(record) >= {"findings", "impression", "text", "consistent", "critical", "finished", "notice"}
    assert record["model"] == "small (sft)"
    broken = run / "broken.png"
    broken.write_bytes(study.images[0].read_bytes()[:400])
    status, _, errors = command("draft", broken, "--model", run)
    assert status == 1
    assert errors.count("\n") == 1
    assert "broken.png: the image is truncated" in errors


def test_bad_studies_are_set_aside_and_the_good_ones_go_on(
    command: Callable, said: Callable, recipe: Path, tmp_path: Path
) -> None:
    said("prepare", "carotid-phantom", "--count", 60, "--image-size", 64, "--out", "data/s.jsonl")
    manifest = tmp_path / "data" / "s.jsonl"
    lines = manifest.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    picture = [manifest.parent / row["images"][0] for row in rows]
    picture[0].write_bytes(picture[0].read_bytes()[:400])
    picture[1].write_bytes(b"")
    picture[2].unlink()
    lines[3] = lines[3][:40]
    lines[4] = json.dumps({**rows[4], "findings": "", "impression": " "})
    bare = {k: v for k, v in rows[5].items() if k not in ("findings", "impression")}
    lines[5] = json.dumps({**bare, "report": "No headers here: no plaque on either side."})
    manifest.write_text("\n".join(lines) + "\n")

    how = ("--data.source", "manifest", "--data.manifest", manifest, "--out", "run")
    status, _, errors = command("run", recipe, *how)
    assert status == 1
    assert "s.jsonl: 5 of 60 studies are bad" in errors
    assert "Traceback" not in errors

    done = said("sft", recipe, *how, "--data.max_bad_share", 0.1)
    assert "set 5 studies aside, see prepare/rejected.jsonl" in done
    rejected = [
        json.loads(line) for line in (tmp_path / "run/prepare/rejected.jsonl").read_text().splitlines()
    ]
    reasons = [row["reason"] for row in rejected]
    for reason, words in zip(reasons, ("truncated", "empty", "no such", "broken JSON", "empty"), strict=True):
        assert words in reason
        assert "\n" not in reason
    kept = read_manifest(tmp_path / "run" / "prepare" / "studies.jsonl")
    assert len(kept.studies) == 55
    [headless] = [s for s in kept.studies if s.study_id == rows[5]["study_id"]]
    assert not headless.reference.sectioned


@pytest.mark.parametrize("labels", ["f_beta", "marginal"])
def test_rft_learns_from_every_label_term(
    recipe: Path, tmp_path: Path, said: Callable[..., str], labels: str
) -> None:
    """What a term must know of the training split comes from the run's own files."""
    for stage in ("sft", "explore", "rft"):
        said(
            stage,
            recipe,
            "--out",
            "run",
            "--sft.epochs",
            "0.2",
            "--rft.steps",
            "1",
            "--reward.labels",
            labels,
        )
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    terms = [row["reward/impression"] for row in rows if row["stage"] == "rft" and row["step"] == 1]
    assert len(terms) == 1 and (terms[0] is None or math.isfinite(terms[0]))


@pytest.mark.release
def test_a_run_killed_twice_ends_with_the_same_weights(
    said: Callable, recipe: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    long = ("--sft.epochs", "2", "--rft.steps", "5", "--rft.learning_rate", "0.02")
    long += ("--policy.image_features", "disk")  # the most there is to lose
    long += ("--evaluation.controls", "template,shuffled,noise,best-of-n")
    said("prepare", "carotid-phantom", "--count", 60, "--image-size", 64)
    data = ("--data.source", "manifest", "--data.manifest", "data/studies.jsonl")
    before = os.umask(0o077)
    try:
        said("run", recipe, *data, *long, "--out", "whole")
    finally:
        os.umask(before)
    check_modes(tmp_path / "whole", 0o077)

    run = tmp_path / "killed"
    arguments = ["run", str(recipe), *data, *long, "--out", str(run)]
    for stage, step in (("sft", 7), ("rft", 3), ("controls/best-of-n", 4)):
        kill_after(stage, step, run, arguments, tmp_path, environment)
        assert not (run / stage / "model").exists()
    shown = said(*arguments)
    assert "controls/best-of-n: picking up at step" in shown
    assert "More than its controls? RadFlow minus each" in shown
    log = (run / "run.log").read_text()
    assert all(f"{stage}: picking up at step" in log for stage in ("sft", "rft"))
    assert digests(run) == digests(tmp_path / "whole")
    assert {name.split("/")[0] for name in digests(run)} == {"sft", "rft", "controls"}
    for system in ("sft", "best-of-n", "radflow", "radflow-shuffled", "radflow-noise"):
        texts, expected = (
            (r / "generate" / f"{system}.jsonl").read_text() for r in (run, tmp_path / "whole")
        )
        assert texts == expected
    results = json.loads((run / "results.json").read_text())
    assert set(results["gain_over"]) == {"template", "best-of-n"}
    assert set(results["falls"]) == {"radflow-shuffled", "radflow-noise"}
    assert "More than its controls?" in (run / "report.html").read_text()
    assert "| best-of-n |" in (run / "rft" / "model" / "README.md").read_text()


def kill_after(
    stage: str, step: int, run: Path, arguments: list[str], folder: Path, environment: dict[str, str]
) -> None:
    """Start a run, and kill it with SIGKILL as soon as it has logged a step of a stage."""
    metrics, marker = run / "metrics.jsonl", f'{{"stage": "{stage}", "step": {step}, '
    command = [sys.executable, "-m", "radflow", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not (metrics.exists() and marker in metrics.read_text()):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.release
def test_two_processes_share_one_run(recipe: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    more = ["--rft.shift_guard", "bound", "--rft.divisor", "90"]
    done = subprocess.run(
        [*launcher, "-m", "radflow", "run", str(recipe), "--out", "run", *more],
        cwd=tmp_path,
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    log = (run / "run.log").read_text()
    assert log.count("sft: best validation loss") == log.count("rft: kept step") == 1
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(r["stage"], r["step"]) for r in rows] == [
        *(("sft", step) for step in range(1, 4)),  # two batches a step
        *(("rft", step) for step in range(3)),
    ]
    assert (run / "report.html").exists()
    shutil.rmtree(run)
