"""The decoding engine against transformers' ``generate`` and against the plain forward, on every family."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MinPLogitsWarper, TopPLogitsWarper

from radflow.errors import TrainingError
from radflow.policy.families import bare, reserved_tokens
from radflow.policy.images.features import encode_images
from radflow.policy.passes.logprobs import completion_logits, completion_logprobs
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.policy.sampling.decode import Decoded, Sampling, decode, draw

ENDS = [2, 3, 4, 5, 6]


def rows_of(decoded: Decoded) -> list[list[int]]:
    return [row[:n] for row, n in zip(decoded.token_ids.tolist(), decoded.lengths.tolist(), strict=True)]


def sample(family: Any, prompts: Sequence[EncodedPrompt], uniforms: Tensor, **how: float) -> Decoded:
    return decode(
        family.model,
        prompts,
        copies=len(uniforms) // len(prompts),
        max_new_tokens=uniforms.shape[1],
        end_ids=ENDS,
        pad_id=0,
        sampling=Sampling(**how),
        uniforms=uniforms,
    )


def generate(family: Any, prompt: EncodedPrompt, *, end_ids: list[int], max_new_tokens: int) -> list[int]:
    batch = collate([prompt], pad_id=0, left=True)
    output = bare(family.model).generate(
        **batch,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        suppress_tokens=list(reserved_tokens(family.model)),
        eos_token_id=end_ids,
        pad_token_id=0,
    )
    return output[0, len(prompt.input_ids) :].tolist()


def test_greedy_tokens_are_those_of_generate(family: Any) -> None:
    """Prompts of three lengths beside one another, one of them of two images; an end token in the middle."""
    free = [generate(family, p, end_ids=[1], max_new_tokens=32) for p in family.prompts]
    end_ids = [row[len(row) // 3] for row in free[:2]]
    wanted = [generate(family, p, end_ids=end_ids, max_new_tokens=32) for p in family.prompts]
    assert min(map(len, wanted)) < 32
    for features in (None, [encode_images(family.model, p) for p in family.prompts]):
        decoded = decode(
            family.model,
            family.prompts,
            copies=2,
            max_new_tokens=32,
            end_ids=end_ids,
            pad_id=0,
            features=features,
        )
        assert rows_of(decoded) == [row for row in wanted for _ in range(2)]


def test_logprobs_are_those_of_the_plain_forward(build_family: Callable[..., Any], family_name: str) -> None:
    family = build_family(family_name, lora=True)
    uniforms = torch.rand(12, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    decoded = sample(family, family.prompts, uniforms, temperature=0.7)
    prompts = [p for p in family.prompts for _ in range(4)]
    assert len(set(decoded.lengths.tolist())) > 3
    assert decoded.logprobs is not None
    for prompt, ids, logprobs in zip(prompts, rows_of(decoded), decoded.logprobs, strict=True):
        wanted, _ = completion_logprobs(family.model, [prompt], [ids], pad_id=0, temperature=0.7)
        torch.testing.assert_close(logprobs[: len(ids)], wanted[0].detach(), atol=1e-4, rtol=0)


def test_entropy_is_that_of_the_plain_forward(build_family: Callable[..., Any]) -> None:
    family = build_family("qwen2_5_vl", lora=True)
    uniforms = torch.rand(12, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    decoded = sample(family, family.prompts, uniforms, temperature=0.7)
    prompts = [p for p in family.prompts for _ in range(4)]
    assert len(set(decoded.lengths.tolist())) > 3  # rows leave the batch, and add nothing once they ended
    assert decoded.entropy is not None
    for prompt, ids, entropy in zip(prompts, rows_of(decoded), decoded.entropy, strict=True):
        logits, _ = completion_logits(family.model, [prompt], [ids], pad_id=0, temperature=0.7)
        wanted = torch.distributions.Categorical(logits=logits[0].detach()).entropy().mean()
        torch.testing.assert_close(entropy, wanted, atol=1e-4, rtol=0)


def test_what_a_study_gets_does_not_depend_on_the_others(family: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    order = [0, 1, 2, 1, 0, 2, 1]
    numbers = [torch.rand(3, 24, dtype=torch.float64, generator=generator) for _ in order]
    alone = [rows_of(sample(family, [family.prompts[i]], u)) for i, u in zip(order, numbers, strict=True)]
    beside = rows_of(sample(family, [family.prompts[i] for i in order], torch.cat(numbers)))
    turned = rows_of(sample(family, [family.prompts[i] for i in order[::-1]], torch.cat(numbers[::-1])))
    assert beside == [row for group in alone for row in group]
    assert turned == [row for group in alone[::-1] for row in group]


def test_prompts_and_pictures_go_through_the_model_once(
    build_family: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    family = build_family("qwen2_5_vl")
    seen: list[tuple[int, ...]] = []
    family.model.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: seen.append(tuple(inputs[0].shape))
    )
    pictures = []
    family.model.model.visual.register_forward_hook(lambda *_: pictures.append(1))
    uniforms = torch.rand(8, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    decoded = sample(family, family.prompts[:2], uniforms)
    longest = max(len(p.input_ids) for p in family.prompts[:2])
    assert seen[0] == (2, longest)
    assert {shape[1] for shape in seen[1:]} == {1}
    assert len(seen) == int(decoded.lengths.max())
    assert seen[-1][0] < 8, "rows that ended leave the batch"
    assert len(pictures) == 1


def test_frequencies_follow_the_distribution(build_family: Callable[..., Any]) -> None:
    family = build_family("llava")
    prompt, rows = family.prompts[0], 20_000
    logits = family.model(**collate([prompt], pad_id=0)).logits[0, -1].detach()
    logits[list(reserved_tokens(family.model))] = float("-inf")
    wanted = (logits / 1.5).softmax(-1)
    uniforms = torch.rand(rows, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    decoded = sample(family, [prompt], uniforms, temperature=1.5)
    found = decoded.token_ids[:, 0].bincount(minlength=100)
    possible = wanted > 0
    chi_square = ((found - rows * wanted) ** 2 / (rows * wanted))[possible].sum()
    degrees = int(possible.sum()) - 1
    assert found[~possible].sum() == 0
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


@pytest.mark.parametrize("how", [{"top_p": 0.6}, {"min_p": 0.1}, {"top_p": 0.9, "min_p": 0.05}])
def test_narrowed_distributions_are_those_of_the_warpers(
    build_family: Callable[..., Any], how: dict[str, float]
) -> None:
    family = build_family("llava")
    prompt = family.prompts[0]
    scores = family.model(**collate([prompt], pad_id=0)).logits[:, -1].detach()
    scores[:, list(reserved_tokens(family.model))] = float("-inf")
    if "top_p" in how:
        scores = TopPLogitsWarper(how["top_p"])(None, scores)
    if "min_p" in how:
        scores = MinPLogitsWarper(how["min_p"])(None, scores)
    grid = ((torch.arange(5_000, dtype=torch.float64) + 0.5) / 5_000)[:, None]
    decoded = sample(family, [prompt], grid, **how)
    found = decoded.token_ids[:, 0].bincount(minlength=100) / 5_000
    torch.testing.assert_close(found, scores.softmax(-1)[0], atol=1 / 5_000, rtol=0)
    # Log-probabilities are those of the whole distribution all the same.
    full = family.model(**collate([prompt], pad_id=0)).logits[0, -1].log_softmax(-1).detach()
    assert decoded.logprobs is not None
    torch.testing.assert_close(decoded.logprobs[:, 0], full[decoded.token_ids[:, 0]])


def test_placeholders_of_pictures_are_never_chosen(build_family: Callable[..., Any]) -> None:
    family = build_family("qwen2_5_vl")
    uniforms = torch.rand(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    hot = sample(family, family.prompts[:1], uniforms, temperature=100.0)
    chosen = {token for row in rows_of(hot) for token in row}
    assert len(chosen) > 90
    assert chosen.isdisjoint(reserved_tokens(family.model))


def test_one_token_is_one_pass(build_family: Callable[..., Any]) -> None:
    family = build_family("llava")
    passes = []
    family.model.register_forward_hook(lambda *_: passes.append(1))
    decoded = decode(family.model, family.prompts, copies=3, max_new_tokens=1, end_ids=ENDS, pad_id=0)
    assert decoded.token_ids.shape == (9, 1)
    assert decoded.lengths.tolist() == [1] * 9
    assert len(passes) == 1


def test_a_study_whose_rows_all_end_at_once(build_family: Callable[..., Any]) -> None:
    family = build_family("llava")
    first = [generate(family, p, end_ids=[1], max_new_tokens=1)[0] for p in family.prompts]
    assert first[0] not in first[1:]
    decoded = decode(family.model, family.prompts, copies=4, max_new_tokens=6, end_ids=[first[0]], pad_id=0)
    assert decoded.lengths.tolist()[:4] == [1] * 4
    assert min(decoded.lengths.tolist()[4:]) > 1


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_as_before_even_after_an_error(build_family: Callable[..., Any], training: bool) -> None:
    family = build_family("llava")
    family.model.train(training)
    family.model.model.vision_tower.eval()
    before = [module.training for module in family.model.modules()]
    with torch.no_grad():
        family.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="NaN"):
        sample(family, family.prompts, torch.full((6, 4), 0.5, dtype=torch.float64))
    assert [module.training for module in family.model.modules()] == before


def test_dropout_is_off_while_decoding(build_family: Callable[..., Any]) -> None:
    family = build_family("llava")
    for layer in family.model.get_decoder().layers:
        layer.self_attn.attention_dropout = 0.9
    uniforms = torch.rand(6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    quiet = rows_of(sample(family, family.prompts, uniforms))
    family.model.train()
    assert rows_of(sample(family, family.prompts, uniforms)) == quiet


def test_numbers_without_sampling_are_refused() -> None:
    uniforms = torch.zeros(1, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="numbers to draw by"):
        decode(
            torch.nn.Linear(1, 1), [], copies=1, max_new_tokens=1, end_ids=[0], pad_id=0, uniforms=uniforms
        )


def test_a_draw_never_lands_on_an_impossible_token() -> None:
    scores = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).repeat(3, 1)
    edges = torch.tensor([0.0, 0.5, 1.0 - 2.0**-53], dtype=torch.float64)
    assert draw(scores, edges).tolist() == [1, 3, 3]
