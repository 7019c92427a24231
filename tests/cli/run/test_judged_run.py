"""Reinforcement fine-tuning with a judge behind an endpoint: the rule judge, served by the example."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples" / "07_judge_server.py"
# Small, and yet its policy writes two sections: a judge is asked about nothing else.
RECIPE = """
name = "judged"
threads = 1
[data]
count = 200
image_size = 64
[policy]
max_new_tokens = 72
lora_rank = 4
[policy.tiny]
image_size = 32
vision_width = 32
text_width = 64
vision_layers = 1
text_layers = 2
heads = 2
vocabulary = 600
[sft]
epochs = 8
batch_size = 16
warmup_steps = 5
validate_every = 20
checkpoint_every = 20
[exploration]
strategy = "balanced"
studies = 24
keep_percent = 50
[rft]
studies_per_step = 4
steps = 2
validate_every = 2
validation_studies = 4
checkpoint_every = 1
"""


@dataclass
class Served:
    """The example's server, in this process."""

    url: str
    answer: Callable[[str], bool]
    asked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __call__(self, question: str) -> bool:
        self.asked.append(question)
        time.sleep(self.seconds)
        return self.answer(question)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    spec = importlib.util.spec_from_file_location("judge_server", EXAMPLE)
    assert spec and spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(
        example, "rules", example.rules.for_modality("carotid-us")
    )  # as the run's own judge is
    server = ThreadingHTTPServer(("127.0.0.1", 0), example.Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}/v1", example.answer)
    monkeypatch.setattr(example, "answer", served)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe and a run that has done everything before RFT."""
    from radflow.config import load_recipe
    from radflow.run.pipeline import Pipeline

    folder = tmp_path_factory.mktemp("judged")
    (folder / "recipe.toml").write_text(RECIPE)
    pipeline = Pipeline(load_recipe(folder / "recipe.toml", {"out": str(folder / "run")}))
    for stage in (pipeline.prepare, pipeline.sft, pipeline.explore):
        stage()
    return folder


@pytest.fixture
def rft(explored: Path, tmp_path: Path, command: Callable) -> Callable[..., tuple[int, str, str]]:
    """``rft(name, ...)`` goes on with a copy of the explored run."""

    def rft(name: str, *knobs: object) -> tuple[int, str, str]:
        if not (tmp_path / name).exists():
            shutil.copytree(explored / "run", tmp_path / name)
        return command("rft", explored / "recipe.toml", "--out", name, *knobs)

    return rft


def judged(served: Served) -> tuple[str, ...]:
    return ("--reward.judge", "openai:rules", "--judge.base_url", served.url)


def left(run: Path) -> tuple[str, list[str]]:
    """Digest of the weights, and the log of rewards without what a machine adds to it."""
    weights = hashlib.sha256((run / "rft" / "model" / "model.safetensors").read_bytes()).hexdigest()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("tokens_per_second", "seconds", "peak_memory_gib")
    return weights, [
        json.dumps({k: v for k, v in r.items() if k not in timed}) for r in rows if r["stage"] == "rft"
    ]


def verdicts(run: Path) -> int:
    """How many are stored; readers do not disturb the writer."""
    path = run / "verdicts.sqlite3"
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(path) as db:
            return db.execute("SELECT count(*) FROM verdicts").fetchone()[0]
    except sqlite3.OperationalError:  # the file is there before its tables are
        return 0


def test_served_the_rule_judge_trains_the_same_policy(
    rft: Callable, served: Served, tmp_path: Path, explored: Path, environment: dict[str, str]
) -> None:
    assert rft("direct")[0] == 0

    status, out, err = rft("asked", *judged(served))
    assert status == 0, err
    assert left(tmp_path / "asked") == left(tmp_path / "direct")
    assert len(served.asked) == len(set(served.asked)) == verdicts(tmp_path / "asked") >= 5
    assert f"rft: judge openai:rules: {len(served.asked)} questions asked in" in out

    # Verdicts are shared by runs that name a store, and enough to repeat a run with nobody to ask.
    served.asked.clear()
    status, _, err = rft(
        "offline", *judged(served), "--judge.store", "asked/verdicts.sqlite3", "--judge.offline", "true"
    )
    assert status == 0, err
    assert left(tmp_path / "offline") == left(tmp_path / "direct")
    assert not served.asked

    # A cap stops the run; with a higher one the same command goes on.
    status, out, err = rft("capped", *judged(served), "--judge.max_calls", 3)
    assert status == 1
    assert "rft: stopped; the same command goes on from the last checkpoint" in out
    assert "the cap is reached" in err
    assert "Traceback" not in err
    assert verdicts(tmp_path / "capped") == 3
    status, _, err = rft("capped", *judged(served), "--judge.max_calls", 1000)
    assert status == 0, err
    assert left(tmp_path / "capped") == left(tmp_path / "direct")

    # Killed with questions on their way: only those are asked again.
    shutil.copytree(explored / "run", tmp_path / "killed")
    served.seconds = 0.5
    arguments = [
        "rft",
        explored / "recipe.toml",
        "--out",
        "killed",
        *judged(served),
        "--judge.concurrency",
        1,
    ]
    running = subprocess.Popen(
        [sys.executable, "-m", "radflow", *map(str, arguments)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    patience = time.monotonic() + 120
    try:
        while verdicts(tmp_path / "killed") < 3:
            assert running.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    time.sleep(2 * served.seconds)  # what the server is still at
    served.seconds = 0.0
    served.asked.clear()
    kept = verdicts(tmp_path / "killed")
    status, _, err = rft("killed", *judged(served))
    assert status == 0, err
    assert left(tmp_path / "killed") == left(tmp_path / "direct")
    assert len(served.asked) == verdicts(tmp_path / "killed") - kept > 0
