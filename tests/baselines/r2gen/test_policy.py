"""R2Gen as a policy: what sampling, SFT, exploration and RFT ask of a model, and the whole workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from part_folders import write_tower
from radflow.baselines.r2gen.build import build_r2gen
from radflow.config import Policy as Knobs
from radflow.policy import GroupForward, Policy, greedy_reports, load_policy, sample_groups
from radflow.policy.families import parts_of
from radflow.policy.load import add_lora
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.policy.prompts import collate
from radflow.studies import Study

Command = Callable[..., tuple[int, str, str]]


def built(place: Path, knobs: Knobs, studies: list[Study], tower: str | None = None) -> Policy:
    sizes = knobs.tiny.model_copy(update={"tower": tower, "image_tokens": 4, "heads": 2})
    knobs = knobs.model_copy(update={"model": "r2gen", "tiny": sizes, "max_new_tokens": 24})
    texts = [s.reference.canonical for s in studies] * 4
    build_r2gen(knobs, place, texts=texts, images=[s.images[0] for s in studies], seed=0)
    return load_policy(place, knobs)


@pytest.fixture
def policy(tmp_path: Path, knobs: Knobs, studies: list[Study]) -> Policy:
    return built(tmp_path / "r2gen", knobs, studies)


def test_its_prompt_is_the_token_that_begins_a_text(policy: Policy, studies: list[Study]) -> None:
    for study in studies:
        prompt = policy.prompt(study)
        assert prompt.input_ids.tolist() == [policy.tokenizer.bos_token_id]
        assert prompt.image_fields["pixel_values"].shape == (1, len(study.images), 3, 32, 32)


@torch.no_grad()
def test_a_study_is_read_the_same_whoever_is_beside_it(policy: Policy, studies: list[Study]) -> None:
    """The second study has two pictures, so the others are filled up beside it; both of its are read."""
    prompts = [policy.prompt(study) for study in studies]
    tokens = policy.tokenizer(studies[0].reference.canonical).input_ids
    together, _ = completion_logprobs(policy.model, prompts, [tokens] * 3, pad_id=policy.pad_id)
    for row, prompt in enumerate(prompts):
        alone, _ = completion_logprobs(policy.model, [prompt], [tokens], pad_id=policy.pad_id)
        torch.testing.assert_close(together[row], alone[0])
    batch = collate([prompts[1]], pad_id=policy.pad_id)
    first = batch | {"pixel_values": batch["pixel_values"][:, :1]}
    assert not torch.allclose(policy.model(**batch).logits, policy.model(**first).logits)


def test_what_was_sampled_has_the_probability_it_was_sampled_with(
    policy: Policy, studies: list[Study], capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain forward stands in for the packed row, and says so; greedy tokens are the most likely ones."""
    [group] = sample_groups(policy, studies[:1], group_size=3, max_new_tokens=5, seeds=[7])
    forward = GroupForward(policy)
    with torch.no_grad():
        logprobs, mask = forward([group])
    assert (
        "R2GenForConditionalGeneration: not a family that prefixes are shared for" in capsys.readouterr().out
    )
    assert mask.sum() == sum(len(c.token_ids) for c in group.completions)
    assert len({c.token_ids for c in group.completions}) > 1 and (logprobs[mask] < 0).all()
    [(_, greedy)] = greedy_reports(policy, studies[:1], max_new_tokens=5)
    prompt = policy.prompt(studies[0])
    with torch.no_grad():
        logits = policy.model(
            **collate([prompt], [greedy.token_ids], pad_id=policy.pad_id),
            logits_to_keep=len(greedy.token_ids) + 1,
        ).logits
    assert logits[0, :-1].argmax(-1).tolist() == list(greedy.token_ids)


def test_parts_are_told_apart_for_training(policy: Policy) -> None:
    parts = {part: sum(p.numel() for p in own) for part, own in parts_of(policy.model).items()}
    assert parts["adapter"] == 0 and min(parts["language"], parts["connector"], parts["vision"]) > 0
    adapted = parts_of(add_lora(policy.model, Knobs(lora_rank=2)))
    assert sum(p.numel() for p in adapted["adapter"]) > 0


def test_it_learns_what_pictures_show(policy: Policy, studies: list[Study]) -> None:
    """Three reports by heart, told apart by nothing but their pictures."""
    prompts = [policy.prompt(study) for study in studies]
    texts = [[*policy.tokenizer(s.reference.canonical).input_ids, policy.end_ids[0]] for s in studies]
    optimiser = torch.optim.Adam(policy.model.parameters(), lr=3e-3)
    for _ in range(120):
        loss = -completion_logprobs(policy.model, prompts, texts, pad_id=policy.pad_id)[0].sum() / 60
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    written = [c.text for _, c in greedy_reports(policy, studies, max_new_tokens=24)]
    assert written == [s.reference.canonical for s in studies]


def test_a_frozen_tower_runs_once_per_study(tmp_path: Path, knobs: Knobs, studies: list[Study]) -> None:
    tower = write_tower("resnet", tmp_path / "tower")
    policy = built(tmp_path / "r2gen", knobs, studies, tower=str(tower))
    policy.model.requires_grad_(False)
    policy.model.get_decoder().requires_grad_(True)
    runs = []
    policy.model.vision_tower.register_forward_hook(lambda *_: runs.append(1))
    whole = list(greedy_reports(policy, studies, max_new_tokens=4))
    groups = sample_groups(policy, studies, group_size=2, max_new_tokens=4, seeds=[1, 2, 3])
    GroupForward(policy, say=lambda _: None)(groups)
    assert len(runs) == len(studies)
    unkept = load_policy(tmp_path / "r2gen", knobs.model_copy(update={"image_features": "off"}))
    again = list(greedy_reports(unkept, studies, max_new_tokens=4))
    assert [c.token_ids for _, c in whole] == [c.token_ids for _, c in again]


@pytest.mark.release
def test_the_whole_workflow_from_its_name(command: Command, recipe: Path, tmp_path: Path) -> None:
    """SFT with the label loss, exploration, RFT, evaluation, card and draft."""
    status, _, err = command(
        "run", recipe, "--policy.model", "r2gen", "--sft.label-loss", "1", "--sft.label-epochs", "1"
    )
    assert (status, err) == (0, "")
    run = next((tmp_path / "runs").iterdir())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["validation_loss"] for row in rows if row["stage"] == "sft" and "validation_loss" in row]
    assert losses[-1] < losses[0]
    card = (run / "rft" / "model" / "README.md").read_text()
    assert "import radflow.baselines.r2gen.model" in card and "r2gen, one of the systems" in card
    picture = next((run / "prepare" / "source" / "images").rglob("*.png"))
    status, out, _ = command("draft", picture, "--model", run)
    assert status == 0 and out


@pytest.mark.parametrize("size", ["text_width", "heads"])
def test_sizes_that_do_not_fit_are_one_line(command: Command, recipe: Path, size: str) -> None:
    value = {"text_width": 33, "heads": 3}[size]
    status, _, err = command(
        "run",
        recipe,
        "--policy.model",
        "r2gen",
        f"--policy.tiny.{size.replace('_', '-')}",
        value,
        "--dry-run",
    )
    assert status == 1 and "to be a multiple of" in err and len(err.splitlines()) == 1
