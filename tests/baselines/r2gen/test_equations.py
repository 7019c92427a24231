"""R2Gen against its equations, written down once more: loops over rows, heads and tokens, in plain torch.

The names of the equations are those of the paper (arXiv:2010.16056, sections 2.2 and 2.3); where it leaves
something open, the authors' code decides (post-norm of the stacks, the deviation, the first memory).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionConfig

from radflow.baselines.r2gen.model import R2GenConfig, R2GenForConditionalGeneration, initialise

WIDTH, HEADS, SLOTS, LAYERS, WORDS = 8, 2, 3, 2, 11
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> R2GenForConditionalGeneration:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=6,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=8,
        patch_size=4,
    )
    config = R2GenConfig(
        vision_config=vision,
        vision_width=6,
        vocab_size=WORDS,
        hidden_size=WIDTH,
        intermediate_size=10,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        memory_heads=4,
        memory_slots=SLOTS,
    )
    made = R2GenForConditionalGeneration(config).double().eval()
    initialise(made)
    with torch.no_grad():
        for weight in made.parameters():  # gammas of one and betas of zero would hide a wrong place
            weight.add_(0.3 * torch.randn_like(weight))
    return made


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


def scaled(x: Tensor) -> Tensor:
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in x) / (len(x) - 1))
    return (x - mean) / (deviation + 1e-6)


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return w[f"{name}.gamma"] * scaled(x) + w[f"{name}.beta"]


def mcln(w: Weights, name: str, x: Tensor, m: Tensor) -> Tensor:
    """Eq. 9 to 13: the memory's change of gamma and of beta."""

    def change(which: str) -> Tensor:
        return linear(w, f"{name}.mlp_{which}.2", linear(w, f"{name}.mlp_{which}.0", m).relu())

    return (w[f"{name}.gamma"] + change("gamma")) * scaled(x) + w[f"{name}.beta"] + change("beta")


def attend(w: Weights, name: str, x: Tensor, others: list[Tensor], heads: int) -> Tensor:
    size, found = WIDTH // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        query = linear(w, f"{name}.query", x)[part]
        scores = torch.stack(
            [query @ linear(w, f"{name}.key", other)[part] / math.sqrt(size) for other in others]
        )
        share = scores.exp() / scores.exp().sum()
        found.append(sum(s * linear(w, f"{name}.value", o)[part] for s, o in zip(share, others, strict=True)))
    return linear(w, f"{name}.output", torch.cat(found))


def forwards(w: Weights, name: str, x: Tensor) -> Tensor:
    return linear(w, f"{name}.3", linear(w, f"{name}.0", x).relu())


def remember(w: Weights, memory: list[Tensor], word: Tensor) -> list[Tensor]:
    """Eq. 4 to 8: one step of the relational memory."""
    name, after = "decoder.memory", []
    for slot in memory:
        z = slot + attend(w, f"{name}.attention", slot, [*memory, word], 4)
        candidate = z + linear(w, f"{name}.mlp.2", linear(w, f"{name}.mlp.0", z).relu()).relu()
        gates = linear(w, f"{name}.of_token", word) + linear(w, f"{name}.of_memory", slot.tanh())
        entering, kept = gates[:WIDTH].sigmoid(), gates[WIDTH:].sigmoid()
        after.append(entering * candidate.tanh() + kept * slot)
    return after


def embedded(w: Weights, token: int, place: int) -> Tensor:
    position = torch.tensor(
        [
            (math.sin if i % 2 == 0 else math.cos)(place / 10_000 ** (i // 2 * 2 / WIDTH))
            for i in range(WIDTH)
        ],
        dtype=torch.double,
    )
    return w["decoder.embedding.weight"][token] * math.sqrt(WIDTH) + position


def encoded(w: Weights, patches: list[Tensor]) -> list[Tensor]:
    states = [linear(w, "connector.embedding.0", p).relu() for p in patches]
    for number in range(LAYERS):
        name = f"connector.layers.{number}"
        seen = [norm(w, f"{name}.norms.0", s) for s in states]
        states = [
            s + attend(w, f"{name}.attention", n, seen, HEADS) for s, n in zip(states, seen, strict=True)
        ]
        states = [s + forwards(w, f"{name}.forwards", norm(w, f"{name}.norms.1", s)) for s in states]
    return [norm(w, "connector.norm", s) for s in states]


def logits(w: Weights, tokens: list[int], patches: list[Tensor]) -> list[Tensor]:
    states = encoded(w, patches)
    words = [embedded(w, token, place) for place, token in enumerate(tokens)]
    memory, memories = list(torch.eye(SLOTS, WIDTH, dtype=torch.double)), []
    for word in words:
        memory = remember(w, memory, word)
        memories.append(torch.cat(memory))
    hidden = words
    for number in range(LAYERS):
        name = f"decoder.layers.{number}"
        pairs = list(zip(hidden, memories, strict=True))
        own = [mcln(w, f"{name}.norms.0", h, m) for h, m in pairs]
        hidden = [
            h + attend(w, f"{name}.attention", own[t], own[: t + 1], HEADS) for t, h in enumerate(hidden)
        ]
        pairs = list(zip(hidden, memories, strict=True))
        hidden = [
            h + attend(w, f"{name}.sight", mcln(w, f"{name}.norms.1", h, m), states, HEADS) for h, m in pairs
        ]
        pairs = list(zip(hidden, memories, strict=True))
        hidden = [h + forwards(w, f"{name}.forwards", mcln(w, f"{name}.norms.2", h, m)) for h, m in pairs]
    return [linear(w, "lm_head", norm(w, "decoder.norm", h)) for h in hidden]


def states_of(count: int) -> Tensor:
    return torch.randn(count, 4, 6, dtype=torch.double)  # pictures of four patches


@torch.no_grad()
def test_logits_are_those_of_the_equations(model: R2GenForConditionalGeneration) -> None:
    """Two rows: one picture, and two of them; the first is filled up with zeros, and its text is shorter."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    one, two = states_of(1), states_of(2)
    ids = torch.tensor([[1, 5, 3, 0], [1, 4, 9, 2]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    batch = torch.stack([torch.cat([one, torch.zeros_like(one)]), two])
    found = model(ids, attention_mask=mask, tower_states=batch).logits
    for row, states, length in ((0, one, 3), (1, two, 4)):
        expected = logits(weights, ids[row, :length].tolist(), list(states.flatten(0, 1)))
        torch.testing.assert_close(found[row, :length], torch.stack(expected), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_what_is_kept_of_earlier_tokens_changes_nothing(model: R2GenForConditionalGeneration) -> None:
    """Token by token through the cache, with padding on the left of a row, as generation has it."""
    states = states_of(4).unflatten(0, (2, 2))
    ids = torch.tensor([[0, 1, 5, 3, 7], [1, 4, 9, 2, 8]])
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    whole = model(ids, attention_mask=mask, tower_states=states).logits
    alone = model(ids[:1, 1:], tower_states=states[:1]).logits
    torch.testing.assert_close(whole[0, 1:], alone[0])
    cache, seen = model.empty_cache(), model.encoded(tower_states=states)
    how = {"encoder_hidden_states": seen[0], "encoder_attention_mask": seen[1], "use_cache": True}
    steps = [slice(0, 2), slice(2, 3), slice(3, 5)]
    parts = [
        model(ids[:, s], attention_mask=mask[:, : s.stop], past_key_values=cache, **how).logits for s in steps
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1)[mask.bool()], whole[mask.bool()])


@torch.no_grad()
def test_beams_take_their_memory_along(model: R2GenForConditionalGeneration) -> None:
    """Beam search with the cache finds what it finds without."""
    states = states_of(2)[:, None]
    begin = torch.ones(2, 1, dtype=torch.long)
    how = {"tower_states": states, "num_beams": 3, "max_new_tokens": 6, "pad_token_id": 0, "do_sample": False}
    kept = model.generate(begin, **how, attention_mask=torch.ones_like(begin))
    again = model.generate(begin, **how, attention_mask=torch.ones_like(begin), use_cache=False)
    assert kept.tolist() == again.tolist()
