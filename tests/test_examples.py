"""The examples run as they stand, and what they print is true."""

import os
import re
import runpy
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from radflow import config, judges
from radflow.reports import parse_report

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.fixture
def run(capsys, monkeypatch):
    """Run an example as ``python examples/NAME`` does, and yet in this process, which has imported torch."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(name):
        runpy.run_path(str(EXAMPLES[0].parent / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def run_apart(name):
    """The same in a process of its own, for the example that trains with TRL's trainer."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES[0].parent / name)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serve(name):
    """The example's server, as a process: the address that it prints."""
    command = [sys.executable, str(EXAMPLES[0].parent / name), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def table(output):
    """Rows that end in numbers: words in front -> the numbers."""
    rows = {}
    for line in output.splitlines():
        found = re.fullmatch(r"\s*(.*?)((?:\s+-?\d+\.\d+|\s+skipped)+)\s*", line)
        if found:
            values = [None if v == "skipped" else float(v) for v in found[2].split()]
            rows[found[1].strip()] = values
    return rows


def test_every_example_has_a_test_below():
    tested = re.findall(
        r'(?:run|run_apart|serve)\("(\d\d_\w+\.py)"\)', Path(__file__).read_text(encoding="utf-8")
    )
    assert sorted(tested) == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_under_60_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_scores_tell_a_lost_negation_from_other_words(run):
    rows = table(run("01_score_reports.py"))
    bleu2, _, radgraph, chexpert = zip(
        *(rows[name] for name in ("same findings, other words", "negation lost")), strict=True
    )
    assert bleu2[1] > bleu2[0]
    assert chexpert == (1.0, 0.0)
    assert rows["pneumonia missed"][2] < min(radgraph)


def test_the_reward_prefers_the_right_report_and_skips_what_is_absent(run):
    rows = table(run("02_reward_in_your_own_rl.py"))
    assert max(rows, key=lambda name: rows[name][-1]) == "right"
    assert rows["contradicts itself"][2] == -1.0
    assert rows["no headers"][2:4] == [-1.0, None]
    for syntax, domain, consistency, impression, total in rows.values():
        assert total == pytest.approx(syntax + domain + consistency + (impression or 0.0), abs=0.021)


def test_capo_clips_nothing_at_first_and_the_critical_case_more_afterwards(run):
    output = run("03_capo_loss.py")
    assert "epsilon: critical 0.05, normal 0.20" in output
    steps = [values for name, values in table(output).items() if name.isdigit()]
    assert len(steps) == 6
    assert steps[0][1:] == [0.0, 0.0, 0.0, 0.0]
    for _, clipped_critical, clipped_normal, _, _ in steps[1:]:
        assert clipped_critical > clipped_normal
    assert steps[-1][3] < steps[-1][4]


def test_labels_keep_denied_uncertain_and_stated_apart(run):
    normal, unsure, device = re.split(r"(?=^Findings:)", run("04_label_reports.py"), flags=re.M)[1:]
    assert re.search(r"denied .*Pleural Effusion", normal)
    assert normal.rstrip().endswith("nothing critical")
    assert re.search(r"uncertain .*Pneumonia", unsure)
    assert re.search(r"stated .*Pleural Effusion, Support Devices", device)
    assert device.rstrip().endswith("critical because of effusion, Pacemaker, pleural effusion")
    assert "'Pacemaker': Support Devices, named, nothing qualifies it" in device


def test_a_manifest_comes_back_without_its_broken_study(run):
    output = run("05_own_manifest.py")
    splits = dict(re.findall(r"^(s\d)  p\d  (\w+)", output, re.M))
    assert set(splits) == {"s1", "s2", "s3"}
    assert splits["s1"] == splits["s2"]
    assert re.search(r"^s3 .*no sections$", output, re.M)
    assert re.search(r"^s4  set aside: .*empty \(0 bytes\)", output, re.M)


@pytest.mark.skipif(find_spec("trl") is None, reason="pip install 'radflow[trl]'")
@pytest.mark.release
def test_capo_in_trl_clips_the_critical_case_more():
    steps = [values for name, values in table(run_apart("06_trl_capo.py")).items() if name.isdigit()]
    assert len(steps) == 3
    assert steps[0] == [0.0, 0.0, 0.0, 0.0]
    for clipped_critical, clipped_normal, _, _ in steps[1:]:
        assert clipped_critical > clipped_normal > 0


def test_the_served_rule_judge_answers_as_the_rules_do():
    rules = judges.load("rules")
    pairs = [
        ("Small left pleural effusion.", "Left pleural effusion."),
        ("No pleural effusion.", "Left pleural effusion."),
    ]
    reports = [
        parse_report("Findings: Clear. Impression: Normal."),
        parse_report("Impression: Pneumothorax."),
    ]
    with serve("07_judge_server.py") as url:
        asked = judges.load("openai:rules", config.Judge(base_url=url))
        assert asked(pairs) == rules(pairs) == [True, False]
        assert asked.criticality(reports) == rules.criticality(reports) == [False, True]
