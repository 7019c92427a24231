"""Eq. 8 and its options against their equations written out by hand, and what training relies on."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from radflow.capo import capo_loss, clip_range, token_weights


def example(seed: int, rows: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The six arguments of the loss: ragged completions whose ratios leave both ranges, in float64."""
    g = torch.Generator().manual_seed(seed)
    old, ref = (torch.randn(rows, 6, generator=g, dtype=torch.float64) - 2 for _ in range(2))
    logp = old + 0.3 * torch.randn(rows, 6, generator=g, dtype=torch.float64)
    mask = torch.arange(6) < torch.randint(1, 7, (rows,), generator=g)[:, None]
    eps = torch.tensor([0.05, 0.2], dtype=torch.float64).repeat(rows)[:rows]
    return logp, old, ref, mask, torch.randn(rows, generator=g, dtype=torch.float64), eps


def by_hand(logp, old, ref, mask, adv, eps, beta, kl):
    """Eq. 8, a token at a time, in plain Python."""
    rows = []
    for i in range(len(adv)):
        tokens = [t for t in range(len(mask[i])) if mask[i][t]]
        total = 0.0
        for t in tokens:
            ratio = math.exp(logp[i][t] - old[i][t])
            clipped = min(max(ratio, 1 - eps[i]), 1 + eps[i]) * adv[i]
            difference = ref[i][t] - logp[i][t]
            divergence = math.exp(difference) - difference - 1
            if kl == "outside":
                total += min(ratio * adv[i], clipped) - beta * divergence
            else:
                total += min(ratio * adv[i], clipped - beta * divergence)
        rows.append(total / len(tokens))
    return -sum(rows) / len(rows)


@pytest.mark.parametrize("kl", ["outside", "literal"])
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_loss_equals_equation_8_by_hand(kl: str, seed: int) -> None:
    arguments = example(seed)
    loss, _ = capo_loss(*arguments, beta=0.04, kl=kl)
    expected = by_hand(*(x.tolist() for x in arguments), 0.04, kl)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_the_two_forms_agree_at_ratio_one() -> None:
    logp, ref = torch.randn(3, 5), torch.randn(3, 5)
    arguments = (logp, logp, ref, torch.ones(3, 5, dtype=torch.bool), torch.randn(3), torch.full((3,), 0.2))
    outside, _ = capo_loss(*arguments, beta=0.5, kl="outside")
    literal, _ = capo_loss(*arguments, beta=0.5, kl="literal")
    assert float(outside) == pytest.approx(float(literal), rel=1e-6)


def test_critical_cases_are_clipped_where_normal_ones_are_not() -> None:
    logp = torch.full((2, 3), 0.1, requires_grad=True)  # ratio 1.105: past 0.05, within 0.2
    old = torch.zeros(2, 3)
    mask = torch.ones(2, 3, dtype=torch.bool)
    clip = clip_range(torch.tensor([True, False]))
    loss, stats = capo_loss(logp, old, old, mask, torch.ones(2), clip, beta=0.0)
    loss.backward()
    assert logp.grad is not None
    assert stats.clip_fraction.tolist() == [1.0, 0.0]
    assert logp.grad[0].abs().max() == 0
    assert logp.grad[1].abs().min() > 0


def test_without_an_update_no_clip_binds_and_nothing_shifts() -> None:
    logp = torch.randn(4, 5)
    mask = torch.ones(4, 5, dtype=torch.bool)
    _, stats = capo_loss(logp, logp, logp, mask, torch.randn(4), torch.full((4,), 0.05))
    assert stats.clip_fraction.sum() == 0
    assert stats.shift.sum() == 0
    assert stats.ratio_min.tolist() == stats.ratio_max.tolist() == [1.0] * 4


def test_padding_may_hold_anything() -> None:
    logp, old = torch.zeros(1, 3), torch.zeros(1, 3)
    mask = torch.tensor([[True, True, False]])
    spoilt = logp.clone()
    spoilt[0, 2] = 1e9
    clean, _ = capo_loss(logp, old, old, mask, torch.ones(1), torch.full((1,), 0.2))
    dirty, stats = capo_loss(spoilt, old, old, mask, torch.ones(1), torch.full((1,), 0.2))
    assert float(clean) == float(dirty)
    assert float(stats.ratio_max) == 1.0


def k3(logp: float, ref: float) -> float:
    return math.exp(ref - logp) - (ref - logp) - 1


def dapo_by_hand(logp, old, ref, mask, adv, eps, high, beta):
    """Clip-Higher: 1/G sum_i 1/|o_i| sum_t min(r A, clip(r, 1 - eps_low, 1 + eps_high) A) - beta KL."""
    total = 0.0
    for i in range(len(adv)):
        tokens = [t for t in range(6) if mask[i][t]]
        for t in tokens:
            r = math.exp(logp[i][t] - old[i][t])
            inside = 1 - eps[i] if r < 1 - eps[i] else 1 + high[i] if r > 1 + high[i] else r
            total += (min(r * adv[i], inside * adv[i]) - beta * k3(logp[i][t], ref[i][t])) / len(tokens)
    return -total / len(adv)


def gspo_by_hand(logp, old, ref, mask, adv, eps, beta):
    """1/G sum_i min(s_i A_i, clip(s_i) A_i), s_i = (pi(o_i) / pi_old(o_i)) ** (1 / |o_i|); KL by token."""
    total = 0.0
    for i in range(len(adv)):
        tokens = [t for t in range(6) if mask[i][t]]
        now, then = (math.exp(sum(x[i][t] for t in tokens)) for x in (logp, old))
        s = (now / then) ** (1 / len(tokens))
        total += min(s * adv[i], min(max(s, 1 - eps[i]), 1 + eps[i]) * adv[i])
        total -= beta * sum(k3(logp[i][t], ref[i][t]) for t in tokens) / len(tokens)
    return -total / len(adv)


def dr_grpo_by_hand(logp, old, ref, mask, adv, eps, beta, longest):
    """1/G sum_i 1/L sum_t (...): a long completion weighs more than a short one."""
    total = 0.0
    for i, t in itertools.product(range(len(adv)), range(6)):
        if mask[i][t]:
            r = math.exp(logp[i][t] - old[i][t])
            total += min(r * adv[i], min(max(r, 1 - eps[i]), 1 + eps[i]) * adv[i])
            total -= beta * k3(logp[i][t], ref[i][t])
    return -total / (longest * len(adv))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_option_equals_its_equation_by_hand(seed: int) -> None:
    arguments = example(seed)
    plain = [x.tolist() for x in arguments]
    high = 2 * arguments[-1]
    for options, expected in (
        ({"clip_high": high}, dapo_by_hand(*plain, high.tolist(), 0.04)),
        ({"ratio": "sequence"}, gspo_by_hand(*plain, 0.04)),
        ({"normaliser": "constant", "max_tokens": 9}, dr_grpo_by_hand(*plain, 0.04, 9)),
    ):
        loss, _ = capo_loss(*arguments, beta=0.04, **options)
        assert float(loss) == pytest.approx(expected, abs=1e-12), options


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_gradient_of_the_sequence_ratio_is_that_of_gspo(seed: int) -> None:
    """Every token of a completion gets s_i A_i / |o_i|, or nothing where s_i is clipped."""
    logp, old, ref, mask, adv, eps = example(seed)
    logp.requires_grad_()
    loss, stats = capo_loss(logp, old, ref, mask, adv, eps, beta=0.0, ratio="sequence")
    loss.backward()
    assert logp.grad is not None
    length = mask.sum(-1)
    s = (((logp - old) * mask).sum(-1) / length).exp().detach()
    removed = ((s > 1 + eps) & (adv > 0)) | ((s < 1 - eps) & (adv < 0))
    weight = -(s * adv / length / len(adv)).masked_fill(removed, 0.0)
    torch.testing.assert_close(logp.grad, weight[:, None] * mask)
    assert torch.equal(stats.clip_fraction, removed.double())


def weighed(mask: Tensor, seed: int) -> Tensor:
    """Weights of random deciding tokens, one row per completion; rubbish on padding."""
    g = torch.Generator().manual_seed(seed)
    rows = torch.full(mask.shape, 77.0, dtype=torch.float64)
    for row, inside in zip(rows, mask, strict=True):
        deciding = torch.rand(int(inside.sum()), generator=g) > 0.5
        row[inside] = token_weights(deciding, 3.0).double()
    return rows


@pytest.mark.parametrize("kl", ["outside", "literal"])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_gradient_with_weights_is_that_of_advantages_by_token(kl: str, seed: int) -> None:
    """min(r_it w_it A_i, clip(r_it) w_it A_i) - beta KL_it, written with torch a token at a time."""
    arguments = example(seed)
    weights = weighed(arguments[3], seed)
    gradients = []
    for by_hand in (False, True):
        logp, old, ref, mask, adv, eps = (x.clone() for x in arguments)
        logp.requires_grad_()
        if not by_hand:
            loss, _ = capo_loss(logp, old, ref, mask, adv, eps, beta=0.3, kl=kl, weights=weights)
        else:
            rows = []
            for i, t in zip(*(places.tolist() for places in mask.nonzero(as_tuple=True)), strict=True):
                ratio = (logp[i, t] - old[i, t]).exp()
                a = adv[i] * weights[i, t]
                difference = ref[i, t] - logp[i, t]
                penalty = 0.3 * (difference.exp() - difference - 1)
                clipped = ratio.clamp(1 - eps[i], 1 + eps[i]) * a
                if kl == "outside":
                    worth = torch.minimum(ratio * a, clipped) - penalty
                else:
                    worth = torch.minimum(ratio * a, clipped - penalty)
                rows.append(worth / mask[i].sum() / len(adv))
            loss = -torch.stack(rows).sum()
        loss.backward()
        gradients.append((loss.detach(), logp.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_weights_share_the_gradient_of_the_sequence_ratio_out(seed: int) -> None:
    """GSPO-token: the value and the clip are those of the sequence, the gradient goes by weight."""
    *arguments, _, _ = example(seed)
    adv, eps = example(seed)[-2:]
    arguments[0].requires_grad_()
    weights = weighed(arguments[3], seed)
    how = {"beta": 0.0, "ratio": "sequence"}
    plain, before = capo_loss(*arguments, adv, eps, **how)
    shared, after = capo_loss(*arguments, adv, eps, weights=weights, **how)
    [even], [uneven] = (torch.autograd.grad(loss, arguments[0]) for loss in (plain, shared))
    torch.testing.assert_close(shared, plain)
    torch.testing.assert_close(uneven, even * weights.masked_fill(~arguments[3], 0.0))
    torch.testing.assert_close(after.clip_fraction, before.clip_fraction)


@settings(max_examples=20)
@given(deciding=st.lists(st.booleans(), min_size=1, max_size=40), extra=st.floats(0, 50))
def test_the_weights_of_a_completion_have_mean_one(deciding: list[bool], extra: float) -> None:
    weights = token_weights(torch.tensor(deciding), extra)
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)
    if any(deciding) and not all(deciding):
        assert float(weights.max() / weights.min()) == pytest.approx(1 + extra, rel=1e-4)
    else:
        assert (weights - 1).abs().max() < 1e-5


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        token_weights(torch.tensor([True]), -1.0)


ALL_OPTIONS = [
    {"kl": kl, "ratio": ratio, "normaliser": normaliser, "max_tokens": 9}
    for kl in ("outside", "literal")
    for ratio in ("token", "sequence")
    for normaliser in ("completion", "constant")
]


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 5))
def test_evaluated_in_parts_it_is_the_same(options: dict, seed: int, cut: int) -> None:
    arguments = example(seed, rows=6)
    arguments[0].requires_grad_()
    high, keep = 2 * arguments[-1], torch.rand(6, generator=torch.Generator().manual_seed(seed)) > 0.3
    options = {**options, "weights": weighed(arguments[3], seed) if seed % 2 else None}
    whole, _ = capo_loss(*arguments, clip_high=high, keep=keep, **options)
    parts = torch.zeros((), dtype=torch.float64)
    for rows in (slice(0, cut), slice(cut, 6)):
        some = {**options, "weights": options["weights"][rows] if seed % 2 else None}
        part, _ = capo_loss(*(x[rows] for x in arguments), clip_high=high[rows], keep=keep[rows], **some)
        parts = parts + part * (len(high[rows]) / 6)
    gradients = [torch.autograd.grad(loss, arguments[0])[0] for loss in (whole, parts)]
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_with_nothing_extra_the_loss_is_that_of_equation_8_bit_for_bit(options: dict) -> None:
    arguments = [x.float() if x.is_floating_point() else x for x in example(5, rows=6)]
    deciding = torch.rand(arguments[3].shape) > 0.5
    ones = torch.zeros(arguments[3].shape)
    for row, inside, decides in zip(ones, arguments[3], deciding, strict=True):
        row[inside] = token_weights(decides[inside], 0.0)
    plain, _ = capo_loss(*arguments, **options)
    weighed, _ = capo_loss(*arguments, weights=ones, **options)
    assert torch.equal(plain, weighed)


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_a_stopped_row_adds_nothing_and_the_denominator_stays(options: dict) -> None:
    logp, old, ref, mask, adv, eps = example(3)
    keep = torch.tensor([True, False, True, False])
    runaway = logp.clone()
    runaway[~keep] = 1e4  # its ratio is infinite, and must not reach the gradient as 0 * inf
    runaway.requires_grad_()
    loss, stats = capo_loss(runaway, old, ref, mask, adv, eps, keep=keep, **options)
    loss.backward()
    assert runaway.grad is not None
    assert runaway.grad[~keep].abs().max() == 0
    assert runaway.grad[keep].abs().max() > 0
    alone, _ = capo_loss(*(x[keep] for x in (logp, old, ref, mask, adv, eps)), **options)
    assert float(loss.detach()) == pytest.approx(float(alone) / 2, abs=1e-12)
    assert torch.isinf(stats.shift[~keep]).all()  # measured all the same


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), kl=st.sampled_from(["outside", "literal"]))
def test_the_clip_fraction_counts_the_tokens_whose_gradient_is_removed(seed: int, kl: str) -> None:
    """With one token a row, the derivative by the advantage is minus the ratio that the minimum took."""
    logp, old, ref, _, adv, eps = example(seed)
    logp, old, ref = (x[:, :1] for x in (logp, old, ref))
    adv = adv.requires_grad_()
    loss, stats = capo_loss(
        logp, old, ref, torch.ones_like(old) > 0, adv, eps, beta=0.3, kl=kl, clip_high=2 * eps
    )
    loss.backward()
    assert adv.grad is not None
    taken, ratio = -adv.grad * len(adv), (logp - old).exp()[:, 0]
    removed = ~torch.isclose(taken, ratio, rtol=1e-9, atol=0)
    assert torch.equal(stats.clip_fraction > 0, removed)
    assert torch.equal(stats.clip_fraction_low > 0, removed & (ratio < 1))
    assert torch.equal(stats.clip_fraction_high > 0, removed & (ratio > 1))


def test_unknown_options_are_refused() -> None:
    one = torch.zeros(1, 1)
    arguments = (one, one, one, one == 0, torch.ones(1), torch.ones(1))
    for option in ({"kl": "both"}, {"ratio": "word"}, {"normaliser": "none"}):
        with pytest.raises(Exception, match=r"'token'|'outside'|'completion'"):  # or the shape checker first
            capo_loss(*arguments, **option)  # ty: ignore[invalid-argument-type]
    with pytest.raises(ValueError, match="max_tokens"):
        capo_loss(*arguments, normaliser="constant")
    with pytest.raises(ValueError, match="got 1 for rows of 2"):
        capo_loss(
            *(x.expand(1, 2) for x in arguments[:4]), *arguments[4:], normaliser="constant", max_tokens=1
        )
