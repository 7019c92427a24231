from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from radflow.config import Policy as PolicyKnobs
from radflow.errors import TrainingError
from radflow.files import read_json
from radflow.policy import Policy, completion_logprobs, load_policy
from radflow.reports import Report, parse_report
from radflow.studies import Study
from radflow.training import sft
from radflow.training.examples import make_examples, to_tensors
from radflow.training.sft import SftModel, run_sft, sft_warnings
from radflow.training.sft_terms import SentenceRarity

SFT = {"epochs": 2, "batch_size": 4, "warmup_steps": 1, "validate_every": 2, "checkpoint_every": 2}
"""Six steps on the dozen, with a validation and a checkpoint at every second."""


@pytest.fixture
def train(
    folder: Path, knobs: PolicyKnobs, dozen: list[Study], accelerator: Accelerator
) -> Callable[..., Path]:
    """Fine-tune from the untrained model, as a process started anew would."""

    def train(workspace: Any, recipe: Any, **more: Any) -> Path:
        policy = load_policy(folder, knobs)
        how = {"train": dozen, "validate": dozen[:3], "accelerator": accelerator, **more}
        return run_sft(workspace, recipe, policy, **how)

    return train


def nll(policy: Policy, studies: list[Study]) -> float:
    """Mean negative log-likelihood a token, by way of the forward that RFT uses."""
    examples = make_examples(policy, studies, rarity=SentenceRarity(["x"], 0.0))
    policy.model.eval()
    with torch.no_grad():
        values, mask = completion_logprobs(
            policy.model,
            [policy.encoder(s) for s in studies],
            [e.tokens for e in examples],
            pad_id=policy.pad_id,
        )
    return float(-values.sum() / mask.sum())


# ---- what is learnt --------------------------------------------------------------------------------------


def test_a_report_is_learnt_in_canonical_form_and_whole_without_sections(studies: list[Study]) -> None:
    headed = replace(studies[0], reference=parse_report("FINDINGS:\nClear.\nIMPRESSION:\nNormal."))
    assert headed.reference.canonical == "Findings: Clear. Impression: Normal."
    bare = replace(studies[0], reference=Report(text="All clear.", findings=None, impression=None))
    assert bare.reference.canonical == "All clear."


def test_an_example_is_the_report_and_its_end(policy: Policy, studies: list[Study]) -> None:
    [example] = make_examples(policy, studies[:1], rarity=SentenceRarity(["x"], 0.0))
    assert policy.tokenizer.decode(example.tokens[:-1]) == studies[0].reference.canonical
    assert example.tokens[-1] in policy.end_ids
    assert example.weights == (1.0,) * len(example.tokens)


def test_the_loss_is_that_of_the_report_alone(policy: Policy, studies: list[Study]) -> None:
    """Prompts of unlike length, one with two pictures: what differs from the oracle would be misaligned."""
    examples = make_examples(policy, studies, rarity=SentenceRarity(["x"], 0.0))
    model = SftModel(policy.model, None, 0.0).eval()
    loss, plain = model(*to_tensors(policy, examples, policy.device))
    assert plain.item() == pytest.approx(nll(policy, studies), rel=1e-5)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


# ---- rarity ----------------------------------------------------------------------------------------------

sentences = st.lists(st.sampled_from(["Clear.", "Large effusion.", "Mass."]), min_size=1, max_size=4)


@given(texts=st.lists(sentences.map(" ".join), min_size=1, max_size=8), exponent=st.floats(0, 1))
def test_sentence_weights_have_mean_one(texts: list[str], exponent: float) -> None:
    rarity = SentenceRarity(texts, exponent)
    weights = [w for text in texts for w in rarity(text, starts(text))]
    assert sum(weights) / len(weights) == pytest.approx(1.0)


def starts(text: str) -> list[tuple[int, int]]:
    """The first character of each sentence, as a token would give it."""
    ends = [i for i, character in enumerate(text) if character == "."]
    return [(i, i + 1) for i in [0, *(e + 2 for e in ends[:-1])]]


def test_a_rare_sentence_weighs_more() -> None:
    rarity = SentenceRarity(["Clear.", "Clear.", "Clear. Mass."], 1.0)
    common, rare = rarity("Clear. Mass.", [(0, 5), (7, 11)])
    assert rare == pytest.approx(3 * common)
    assert rarity("Unseen.", [(0, 6)]) == (rare,)


def test_no_exponent_no_weights() -> None:
    assert SentenceRarity(["Clear."], 0.0)("Clear.", [(0, 5), (5, 6)]) == (1.0, 1.0)


# ---- the stage -------------------------------------------------------------------------------------------


def test_the_step_with_the_lowest_validation_loss_is_kept(
    train: Callable, open_run: Callable, rows: Callable, dozen: list[Study], knobs: PolicyKnobs
) -> None:
    workspace, recipe = open_run(sft={**SFT, "epochs": 6, "learning_rate": 0.05})  # too high: it jumps
    saved = train(workspace, recipe)
    losses = {r["step"]: r["validation_loss"] for r in rows(workspace) if "validation_loss" in r}
    assert list(losses) == list(range(2, 19, 2))
    kept = nll(load_policy(saved, knobs), dozen[:3])
    assert kept == pytest.approx(min(losses.values()), rel=1e-4)


def test_it_learns(train: Callable, open_run: Callable, rows: Callable) -> None:
    workspace, recipe = open_run(sft={**SFT, "epochs": 8, "learning_rate": 0.01})
    train(workspace, recipe)
    losses = [row["loss"] for row in rows(workspace)]
    assert losses[-1] < 0.5 * losses[0]


IN_PARTS = {"accumulation": 2, "batch_size": 2, "vision_learning_rate": 1e-3}
JUMPY = {"epochs": 10, "learning_rate": 0.05, "patience": 1, "decay": 1.0}
"""Too high a rate: the validation loss soon rises, and the rate decays over as many steps again."""


def test_with_patience_the_rate_is_constant_until_the_loss_no_longer_falls_and_then_decays(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    workspace, recipe = open_run(sft={**SFT, **JUMPY})
    train(workspace, recipe)
    log = rows(workspace)
    losses = {row["step"]: row["validation_loss"] for row in log if "validation_loss" in row}
    risen = next(step for step in list(losses)[1:] if losses[step] > losses[step - 2])
    rates = [row["learning_rate"] for row in log]
    assert rates[:risen] == [0.05] * risen
    assert rates[risen:] == pytest.approx([0.05 * left / (risen + 1) for left in range(risen, 0, -1)])
    summary = read_json(workspace.path("sft", "summary.json"))
    assert (summary["steps"], summary["converged"]) == (2 * risen, True)
    assert sft_warnings(workspace.path("sft")) == []


@pytest.mark.parametrize("more", [{}, {"patience": 5}])
def test_a_loss_that_falls_to_the_end_is_warned_of(
    more: dict, train: Callable, open_run: Callable, rows: Callable
) -> None:
    workspace, recipe = open_run(sft={**SFT, "learning_rate": 1e-3, **more})
    train(workspace, recipe)
    assert read_json(workspace.path("sft", "summary.json"))["best_step"] == 6
    [warning] = sft_warnings(workspace.path("sft"))
    assert warning.startswith("SFT had not converged")
    assert warning in (workspace.root / "run.log").read_text()
    if more:  # out of steps, it decays all the same
        assert rows(workspace)[-1]["learning_rate"] < 1e-3


@pytest.mark.parametrize("more", [{}, {"label_loss": 0.5}, JUMPY, {"keep": "diagnosis"}, IN_PARTS])
def test_a_stopped_run_ends_as_an_uninterrupted_one(
    more: dict,
    train: Callable,
    open_run: Callable,
    rows: Callable,
    weights: Callable,
    stop_at: Callable,
) -> None:
    knobs = {**SFT, **more}
    whole, recipe = open_run("whole", sft=knobs)
    expected = weights(train(whole, recipe))

    for step in (1, 4):  # before the first checkpoint, and between two
        halted, _ = open_run("halted", sft=knobs)
        with pytest.raises(stop_at(halted, step)):
            train(halted, recipe)
    again, _ = open_run("halted", sft=knobs)
    found = weights(train(again, recipe))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert rows(again) == rows(whole)


def test_a_run_that_only_lacks_its_model_trains_no_more(
    train: Callable, open_run: Callable, weights: Callable, stop_at: Callable
) -> None:
    workspace, recipe = open_run(sft=SFT)
    expected = weights(train(workspace, recipe))
    again, _ = open_run(sft=SFT)
    stop_at(again, 6)
    found = weights(train(again, recipe))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_no_studies_is_an_error(train: Callable, open_run: Callable, dozen: list[Study]) -> None:
    with pytest.raises(TrainingError, match="studies to train and validate on, got 0 and 3"):
        train(*open_run(), train=[])
    with pytest.raises(TrainingError, match="got 12 and 0"):
        train(*open_run(), validate=[])


def test_a_loss_that_is_not_finite_stops_the_run(
    policy: Policy, open_run: Callable, dozen: list[Study], accelerator: Accelerator
) -> None:
    with torch.no_grad():
        next(policy.model.parameters()).fill_(torch.nan)
    workspace, recipe = open_run(sft=SFT)
    with pytest.raises(TrainingError, match=r"loss at step 0 is nan; lower sft\.learning_rate"):
        run_sft(workspace, recipe, policy, train=dozen, validate=dozen[:3], accelerator=accelerator)


def test_the_step_with_the_best_labels_is_kept_where_the_recipe_says_diagnosis(
    train: Callable,
    open_run: Callable,
    rows: Callable,
    weights: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loss and labels disagree: the loss falls to step 18, the labels are best at step 4 and again at 10."""
    found = iter([0.1, 0.3, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.3])
    monkeypatch.setattr(sft, "report_figures", lambda *_: {"macro_f1": next(found), "positives": 0.5})
    knobs = {**SFT, "epochs": 6, "learning_rate": 1e-3, "keep": "diagnosis"}
    workspace, recipe = open_run(sft=knobs)
    saved = train(workspace, recipe)
    log = {r["step"]: r for r in rows(workspace) if "validation_loss" in r}
    assert min(log, key=lambda step: log[step]["validation_loss"]) == 18
    summary = read_json(workspace.path("sft", "summary.json"))
    assert (summary["best_step"], summary["best_macro_f1"], summary["converged"]) == (10, 0.4, False)
    assert "macro F1 of its labels" in sft_warnings(workspace.path("sft"))[0]

    found = iter([0.0, 0.0, 0.0, 0.0, 0.4, *[0.0] * 4])  # the same steps, and their weights
    again, recipe = open_run("again", sft=knobs)
    at_ten = weights(train(again, recipe))
    assert all(torch.equal(found, at_ten[name]) for name, found in weights(saved).items())


def test_patience_waits_for_the_labels_too(
    train: Callable, open_run: Callable, rows: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the loss alone this run ends at its first rise; labels that get better keep it going."""
    rising = iter(range(1, 100))
    monkeypatch.setattr(sft, "report_figures", lambda *_: {"macro_f1": next(rising) / 100, "positives": 0.5})
    workspace, recipe = open_run(sft={**SFT, **JUMPY, "keep": "diagnosis"})
    train(workspace, recipe)
    losses = [r["validation_loss"] for r in rows(workspace) if "validation_loss" in r]
    assert any(after > before for before, after in pairwise(losses))
    summary = read_json(workspace.path("sft", "summary.json"))
    assert (summary["steps"], summary["best_step"], summary["converged"]) == (30, 30, False)


def test_without_a_positive_label_to_choose_by_it_does_not_start(
    train: Callable, open_run: Callable, dozen: list[Study]
) -> None:
    normal = [replace(s, reference=parse_report("Findings: Clear. Impression: Normal.")) for s in dozen[:3]]
    with pytest.raises(TrainingError, match=r"sft\.keep: expected validation studies with a positive label"):
        train(*open_run(sft={**SFT, "keep": "diagnosis"}), validate=normal)
