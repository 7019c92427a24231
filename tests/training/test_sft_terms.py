"""The optional terms of the SFT loss: weights by rarity, the label probe, and the warm-up on labels."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from radflow.errors import TrainingError
from radflow.policy import Policy
from radflow.policy.tiny import train_tokenizer
from radflow.reports import Report
from radflow.studies import Study
from radflow.training.examples import make_examples, to_tensors
from radflow.training.sft import SftModel, run_sft
from radflow.training.sft_terms import LabelProbe, SentenceRarity

COMMON, RARE = "The lungs are clear.", "Größere Raumforderung, 2.5 cm."
LABELS = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]


@pytest.fixture
def probe(policy: Policy) -> LabelProbe:
    config = policy.model.config
    torch.manual_seed(0)
    return LabelProbe(config.text_config.hidden_size, 2, image_id=config.image_token_id, layer=1)


def reported(study: Study, findings: str, impression: str) -> Study:
    text = f"Findings: {findings} Impression: {impression}"
    return replace(study, reference=Report(text=text, findings=findings, impression=impression))


# ---- rarity, by the token --------------------------------------------------------------------------------


def test_each_byte_level_token_has_the_weight_of_its_sentence() -> None:
    """Tokens carry the space before them, and an umlaut is two tokens with the same characters."""
    text = f"{COMMON} {RARE} {COMMON}"
    rarity = SentenceRarity([COMMON] * 15 + [text], 0.5)
    for size in (300, 2000):  # words in pieces, and whole
        tokenizer = train_tokenizer([text] * 9, size)
        coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        weights = rarity(text, coded["offset_mapping"])
        heavy = [i for i, w in zip(coded["input_ids"], weights, strict=True) if w == max(weights)]
        assert tokenizer.decode(heavy).strip() == RARE
        assert max(weights) / min(weights) == pytest.approx(17**0.5)


def test_examples_weigh_the_tokens_of_a_rare_sentence_more(policy: Policy, studies: list[Study]) -> None:
    normal = reported(studies[0], COMMON, "Normal.")
    ill = reported(studies[1], RARE, "Mass.")
    rarity = SentenceRarity([e.reference.text for e in [normal] * 8 + [ill]], 0.5)
    first, second = make_examples(policy, [normal, ill], rarity=rarity)
    assert len(first.weights) == len(first.tokens) and len(second.weights) == len(second.tokens)
    assert min(second.weights[:-1]) > max(first.weights[:-1])


def test_weights_scale_a_word_in_the_loss(policy: Policy, studies: list[Study]) -> None:
    """A weight of 0 takes the word out of the loss, and leaves it in the logged mean."""
    [example] = make_examples(policy, studies[:1], rarity=SentenceRarity(["x"], 0.0))
    model = SftModel(policy.model, None, 0.0).eval()
    only_first = replace(example, weights=(1.0, *[0.0] * (len(example.tokens) - 1)))
    head = replace(example, tokens=example.tokens[:1], weights=(1.0,))
    with torch.no_grad():
        loss, plain = model(*to_tensors(policy, [only_first], policy.device))
        expected, _ = model(*to_tensors(policy, [head], policy.device))
        _, unweighted = model(*to_tensors(policy, [example], policy.device))
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(plain) == pytest.approx(float(unweighted), rel=1e-5)


# ---- the label probe -------------------------------------------------------------------------------------


def test_the_probe_reads_the_visual_tokens_and_the_last_state_of_the_prompt(probe: LabelProbe) -> None:
    image = probe.image_id
    ids = torch.tensor([[image, image, 5, 6, 7]])
    width = probe.seen.in_features
    states = (torch.randn(1, 5, width), torch.randn(1, 5, width))
    seen, known = probe(states, ids, torch.tensor([3]))
    assert torch.allclose(seen, probe.seen(states[0][:, :2].mean(1)))
    assert torch.allclose(known, probe.known(states[1][:, 3]))


def test_the_label_loss_adds_the_likelihood_of_the_labels(
    policy: Policy, studies: list[Study], probe: LabelProbe
) -> None:
    examples = make_examples(policy, studies, rarity=SentenceRarity(["x"], 0.0), labels=LABELS)
    probe.requires_grad_(False)
    for parameter in probe.parameters():
        parameter.zero_()
    with torch.no_grad():
        inputs = to_tensors(policy, examples, policy.device)
        loss, plain = SftModel(policy.model, probe, 0.5).eval()(*inputs)
    # A probe that knows nothing costs log 2 for each of the two labels.
    assert float(loss - plain) == pytest.approx(0.5 * 2 * torch.log(torch.tensor(2.0)).item(), rel=1e-4)


def test_without_words_there_is_the_label_loss_alone(
    policy: Policy, studies: list[Study], probe: LabelProbe
) -> None:
    """The report must not leak into it, whatever it says."""
    other = [reported(s, "Other words.", "Altogether.") for s in studies]
    losses = []
    for group in (studies, other):
        examples = make_examples(policy, group, rarity=SentenceRarity(["x"], 0.0), labels=LABELS)
        inputs = to_tensors(policy, examples, policy.device, words=False)
        loss, plain = SftModel(policy.model, probe, 3.0).eval()(*inputs)
        assert torch.isnan(plain)
        losses.append(loss.item())
    assert losses[0] == losses[1] > 0


def test_the_label_loss_teaches_the_labels_through_the_picture(
    policy: Policy, studies: list[Study], probe: LabelProbe
) -> None:
    examples = make_examples(policy, studies, rarity=SentenceRarity(["x"], 0.0), labels=LABELS)
    model = SftModel(policy.model, probe, 1.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    inputs = to_tensors(policy, examples, policy.device, words=False)
    losses = []
    for _ in range(12):
        loss, _ = model(*inputs)
        loss.backward()
        if not losses:
            tower = next(policy.model.model.vision_tower.parameters())
            assert tower.grad is not None and tower.grad.abs().sum() > 0
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# ---- the stage -------------------------------------------------------------------------------------------


@pytest.fixture
def train(policy: Policy, dozen: list[Study], accelerator: Accelerator) -> Callable[..., None]:
    def train(workspace: Any, recipe: Any, **more: Any) -> None:
        how = {"train": dozen, "validate": dozen[:3], "accelerator": accelerator, **more}
        run_sft(workspace, recipe, policy, **how)

    return train


def test_label_epochs_come_first_and_have_no_words(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    knobs = {"epochs": 1, "label_epochs": 2, "label_loss": 1.0, "batch_size": 4, "validate_every": 1}
    workspace, recipe = open_run(sft=knobs)
    train(workspace, recipe)
    logged = rows(workspace)
    assert [row["step"] for row in logged] == list(range(1, 10))
    assert ["label_loss" in row for row in logged] == [True] * 6 + [False] * 3
    assert ["validation_loss" in row for row in logged] == [False] * 6 + [True] * 3
    assert logged[5]["label_loss"] < logged[0]["label_loss"]


def test_label_epochs_without_labels_are_refused(train: Callable, open_run: Callable) -> None:
    with pytest.raises(TrainingError, match=r"sft\.label_epochs: expected sft\.label_loss above 0"):
        train(*open_run(sft={"label_epochs": 1}))
