import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from radflow.errors import RewardError
from radflow.evaluation.files.predictions import Prediction
from radflow.evaluation.files.store import Pair, ReportStore
from radflow.evaluation.scoring import (
    PARTIAL,
    RADCLIQ_PARTS,
    Scorer,
    consistency_rate,
    forget_chunks,
    score_pairs,
    score_texts,
)
from radflow.metrics import RadCliqReaders, score
from radflow.readers import load
from radflow.reports import render_report

METRICS = ("bleu2", "rouge_l")


def labeler(texts: Sequence[str]) -> list[dict[str, int]]:
    return [{"Edema": int("no" not in text)} for text in texts]


def scorer(**changed: object) -> Scorer:
    baselines = {"template": lambda pairs: ["No edema."] * len(pairs)}
    return Scorer(**{"metrics": METRICS, "labeler": labeler, "baselines": baselines, **changed})


@pytest.fixture
def store():
    records = [
        Prediction(study_id=f"s{i}", text=f"Edema in part {i}.", reference=f"No edema in part {i % 3}.")
        for i in range(10)
    ]
    with ReportStore(records) as store:
        yield store


def test_the_columns_are_those_of_all_pairs_at_once(store: ReportStore) -> None:
    pairs = store[0:100]
    found = score_pairs(store, scorer(), chunk=3)
    expected = score([p.generated for p in pairs], [p.reference for p in pairs], METRICS)
    for name in METRICS:
        assert found[name].tolist() == expected[name].tolist()
    template = score(["No edema."] * 10, [p.reference for p in pairs], ["bleu2"])["bleu2"]
    assert found["template:bleu2"].tolist() == template.tolist()
    assert tuple(found) == scorer().columns


class Killed(Exception):
    pass


def test_a_run_that_was_killed_goes_on_and_gives_the_same(store: ReportStore, tmp_path: Path) -> None:
    expected = score_pairs(store, scorer(), chunk=3)
    seen: list[str] = []

    def template(pairs: Sequence[Pair]) -> list[str]:
        seen.extend(pair.study_id for pair in pairs)
        return ["No edema."] * len(pairs)

    def stop(count: int) -> None:
        if len(seen) >= 6:
            raise Killed

    with pytest.raises(Killed):
        score_pairs(
            store, scorer(baselines={"template": template}), out=tmp_path, key="k", advance=stop, chunk=3
        )
    assert len(list((tmp_path / PARTIAL / "k").iterdir())) == 2
    seen.clear()
    advanced: list[int] = []
    again = scorer(baselines={"template": template})
    found = score_pairs(store, again, out=tmp_path, key="k", advance=advanced.append, chunk=3)
    assert seen == ["s6", "s7", "s8", "s9"]  # the first two chunks are not scored again
    assert advanced == [3, 3, 3, 1]
    assert {name: values.tobytes() for name, values in found.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }


def test_chunks_of_other_inputs_are_removed(store: ReportStore, tmp_path: Path) -> None:
    score_pairs(store, scorer(), out=tmp_path, key="old")
    score_pairs(store, scorer(), out=tmp_path, key="new")
    assert [path.name for path in (tmp_path / PARTIAL).iterdir()] == ["new"]
    forget_chunks(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["empty", "no zip", "a bit"])
def test_a_damaged_chunk_is_scored_again(damage: str, store: ReportStore, tmp_path: Path) -> None:
    expected = score_pairs(store, scorer(), out=tmp_path, key="k")
    (chunk,) = (tmp_path / PARTIAL / "k").iterdir()
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1  # in a figure
    chunk.write_bytes({"empty": b"", "no zip": b"x", "a bit": bytes(content)}[damage])
    found = score_pairs(store, scorer(), out=tmp_path, key="k")
    assert all(np.array_equal(found[name], expected[name], equal_nan=True) for name in expected)


def test_a_chunk_of_another_shape_is_scored_again(store: ReportStore, tmp_path: Path) -> None:
    score_pairs(store, scorer(), out=tmp_path, key="k")
    other = scorer(metrics=("bleu2",))
    assert set(score_pairs(store, other, out=tmp_path, key="k")) == set(other.columns)


class Embedder:
    """Vectors that differ from text to text, for BERTScore and SembScore alike."""

    baseline = 0.5

    def __init__(self, tokens: bool) -> None:
        self.tokens = tokens

    def embed(self, texts: Sequence[str]):
        rows = [np.eye(26)[[ord(c) % 26 for c in text.lower()]] for text in texts]
        if self.tokens:
            return [(row.astype(np.float32), np.ones(len(row), bool)) for row in rows]
        return np.array([row.sum(axis=0) for row in rows])


def test_radcliq_of_columns_is_radcliq_of_texts() -> None:
    from radflow.metrics import Rescaled
    from radflow.metrics.bertscore import OFFICIAL_BASELINE

    graphs, tokens, reports = load("radgraph-rules"), Embedder(tokens=True), Embedder(tokens=False)
    readers = {
        "radgraph_f1": graphs,
        "bertscore": Rescaled(embedder=tokens, baseline=OFFICIAL_BASELINE),
        "semb_score": reports,
    }
    ours, theirs = ["Small effusion.", "No edema."], ["No effusion.", "Mild edema."]
    together = RadCliqReaders(graphs=graphs, tokens=tokens, reports=reports)
    names = ("radcliq_v0", "radcliq_v1")
    expected = score(ours, theirs, names, readers=dict.fromkeys(names, together))
    found = score_texts(ours, theirs, ("radcliq_v1", "rouge_l", "radcliq_v0"), readers)
    assert list(found) == ["radcliq_v1", "rouge_l", "radcliq_v0"]
    assert not set(RADCLIQ_PARTS) & set(found)
    for name in names:
        assert found[name].tolist() == expected[name].tolist()


GOOD = render_report("Small left pleural effusion.", "Left pleural effusion.")
BAD = render_report("No pleural effusion.", "Left pleural effusion.")


class Recorder:
    """A judge that says yes and remembers what it was asked."""

    name = "recorder"

    def __init__(self, answers=None):
        self.asked = []
        self.answers = answers

    def __call__(self, pairs):
        self.asked.append(list(pairs))
        return [True] * len(pairs) if self.answers is None else self.answers


def test_reports_are_judged_one_by_one():
    assert consistency_rate([GOOD, BAD, GOOD]).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "text",
    ["", "Lungs are clear.", "Findings: Clear lungs.", "Impression: Normal.", render_report(None, "Normal.")],
)
def test_a_report_without_one_of_the_sections_says_nothing(text):
    judge = Recorder()
    rate = consistency_rate([text, GOOD], judge)
    assert math.isnan(rate[0])
    assert rate[1] == 1.0
    assert judge.asked == [[("Small left pleural effusion.", "Left pleural effusion.")]]


def test_nothing_to_judge_asks_nobody():
    judge = Recorder()
    assert np.isnan(consistency_rate(["Clear."], judge)).all()
    assert consistency_rate([], judge).shape == (0,)
    assert judge.asked == []


def test_a_judge_that_leaves_a_question_open_is_an_error():
    with pytest.raises(RewardError, match="expected 2 answers, got 1"):
        consistency_rate([GOOD, BAD], Recorder([True]))
