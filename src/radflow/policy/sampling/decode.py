"""The decoding engine: every prompt goes through the model once, then all rows of all groups step together.

    prefill    P prompts, left-padded to one length; the vision tower's output comes from the store
    choose     a token per row
    keep       the key-value cache is copied to the rows that go on, N = P*G at first; later on rows that
               ended leave it together, once they are enough to pay for the copy
    step       the chosen tokens go through the model

Randomness comes from outside, as one uniform number per row and step: a token is where the cumulative
probability first passes it. So a row's tokens depend on its own numbers only, whatever is decoded beside it;
rounding differs with the shape of the batch, and turns a token only where a number lies within it of an edge.

Axes: ``P`` prompts, ``N = P*G`` rows, ``R`` rows still decoded, ``T`` new tokens, ``L`` tokens of the longest
prompt, ``V`` vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn
from transformers import MinPLogitsWarper, TopPLogitsWarper

from radflow.errors import TrainingError
from radflow.policy.families import bare, is_known, prompt_positions, reserved_tokens
from radflow.policy.images.features import ImageFeatures, evaluating, join_features
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.policy.sampling.cache import RowCache, build_cache

ENDED_SHARE = 0.25
"""Rows leave the batch once this share of it has ended."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is drawn.

    Attributes:
        temperature: the logits are divided by it.
        top_p: draw from the most likely tokens that together have this probability; 1 for all.
        min_p: tokens less likely than this share of the most likely one are not drawn; 0 keeps all.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0

    def warpers(self) -> list[Any]:
        """What narrows the distribution, in the order of transformers' ``generate``."""
        narrowing: list[Any] = []
        if self.top_p < 1.0:
            narrowing.append(TopPLogitsWarper(self.top_p))
        if self.min_p > 0.0:
            narrowing.append(MinPLogitsWarper(self.min_p))
        return narrowing


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """New tokens of every row.

    Attributes:
        token_ids: on the CPU; what stands behind a row's length means nothing.
        lengths: tokens of each row, its end token included.
        logprobs: of the tokens at the sampling temperature, over the whole vocabulary, in nats; ``None`` for
            greedy decoding.
        entropy: of the distributions that the row's tokens were drawn from, their mean in nats per token, at
            the sampling temperature and over the whole vocabulary; ``None`` for greedy decoding.
    """

    token_ids: Int[Tensor, "N T"]
    lengths: Int[Tensor, "N"]
    logprobs: Float[Tensor, "N T"] | None
    entropy: Float[Tensor, "N"] | None


@dataclass(kw_only=True)
class _Rows:
    """The rows still decoded, each at its next token."""

    cache: RowCache
    numbers: Int[Tensor, "R"]  # which of the N rows each is
    ended: Bool[Tensor, "R"]
    positions: Int[Tensor, "*axes R 1"]  # rotary, of the next token
    mask: Bool[Tensor, "R M"] | None  # false on padding; None where no prompt is padded

    def keep(self, rows: Int[Tensor, "K"], sources: Int[Tensor, "K"], room: int) -> None:
        """Go on with some rows, whose keys and values are those of ``sources`` in the cache."""
        self.cache.select(sources, room)
        self.numbers = self.numbers[rows]
        self.ended = self.ended[rows]
        self.positions = self.positions[..., rows, :]
        self.mask = None if self.mask is None else self.mask[rows]


class _Record:
    """What was chosen so far."""

    def __init__(self, count: int, steps: int, device: torch.device) -> None:
        self._tokens = torch.zeros(count, steps, dtype=torch.long, device=device)
        self._logprobs = torch.zeros(count, steps, device=device)
        self._entropy = torch.zeros(count, device=device)
        self._lengths = torch.zeros(count, dtype=torch.long, device=device)

    def write(
        self,
        rows: _Rows,
        step: int,
        chosen: Int[Tensor, "R"],
        drawn: tuple[Float[Tensor, "R"], Float[Tensor, "R"]] | None,
    ) -> None:
        """One token per row; a row that ended before stays as long as it was."""
        self._tokens[rows.numbers, step] = chosen
        if drawn is not None:
            logprobs, entropy = drawn
            self._logprobs[rows.numbers, step] = logprobs
            self._entropy[rows.numbers] += entropy * ~rows.ended
        self._lengths[rows.numbers] += ~rows.ended

    def decoded(self, *, drawn: bool) -> Decoded:
        if self._logprobs.isnan().any():
            raise TrainingError("expected finite logits from the policy, got NaN: its weights have diverged")
        return Decoded(
            token_ids=self._tokens.cpu(),
            lengths=self._lengths.cpu(),
            logprobs=self._logprobs.cpu() if drawn else None,
            entropy=(self._entropy / self._lengths).cpu() if drawn else None,
        )


def can_decode(model: nn.Module) -> bool:
    """Whether `decode` serves this model: a family proven for it, with an ordinary key-value cache."""
    return is_known(model) and build_cache(bare(model).config) is not None


@torch.no_grad()
def decode(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    *,
    copies: int,
    max_new_tokens: int,
    end_ids: Sequence[int],
    pad_id: int,
    sampling: Sampling | None = None,
    uniforms: Float64[Tensor, "N T"] | None = None,
    features: Sequence[ImageFeatures] | None = None,
) -> Decoded:
    """Decode ``copies`` completions of every prompt; row ``i`` belongs to prompt ``i // copies``.

    Image and video placeholders are never chosen. The model's mode is as before when this returns or raises.

    Args:
        model: for which `can_decode` holds.
        prompts: of any lengths.
        copies: G.
        max_new_tokens: T, the longest completion.
        end_ids: tokens that end a row.
        pad_id: fills the prompts.
        sampling: how tokens are drawn; ``None`` takes the most likely one.
        uniforms: the numbers in [0, 1) that sampling draws by.
        features: one per prompt; ``None`` runs the vision tower.

    Raises:
        TrainingError: the logits are not numbers.
    """
    if (sampling is None) != (uniforms is None):
        raise ValueError("expected numbers to draw by for sampling, and none for greedy decoding")
    core, device = bare(model), next(model.parameters()).device
    ends = torch.tensor(list(end_ids), device=device)
    choose = _Chooser(core, sampling, None if uniforms is None else uniforms.to(device))
    record = _Record(len(prompts) * copies, max_new_tokens, device)
    with evaluating(model):
        rows, logits = _prefill(core, prompts, copies, max_new_tokens, pad_id=pad_id, features=features)
        for step in range(max_new_tokens):
            chosen, drawn = choose(logits, rows.numbers, step)
            record.write(rows, step, chosen, drawn)
            rows.ended |= torch.isin(chosen, ends)
            ended = int(rows.ended.sum())
            if ended == len(chosen) or step + 1 == max_new_tokens:
                break
            if step == 0 or ended >= ENDED_SHARE * len(chosen):
                alive = (~rows.ended).nonzero().squeeze(1)
                sources, room = (alive // copies, max_new_tokens) if step == 0 else (alive, 0)
                rows.keep(alive, sources, room)
                chosen = chosen[alive]
            logits = _step(core, rows, chosen)
    return record.decoded(drawn=sampling is not None)


def _prefill(
    core: Any,
    prompts: Sequence[EncodedPrompt],
    copies: int,
    room: int,
    *,
    pad_id: int,
    features: Sequence[ImageFeatures] | None,
) -> tuple[_Rows, Float[Tensor, "N V"]]:
    """Run the prompts, and give all their rows with the logits of the first new token."""
    device = next(core.parameters()).device
    seen = prompts if features is None else [replace(prompt, image_fields={}) for prompt in prompts]
    fields: dict[str, Any] = collate(seen, pad_id=pad_id, left=True, device=device)
    if features is not None:
        fields["mm_encoder_outputs"] = {"image": join_features(features)}
    mask, length = fields.pop("attention_mask").bool(), fields["input_ids"].shape[1]
    padded = len({len(prompt.input_ids) for prompt in prompts}) > 1
    positions = [prompt_positions(core, prompt) for prompt in prompts]
    gaps = [length - p.shape[-1] for p in positions]
    rotary = torch.stack(
        [nn.functional.pad(p, (gap, 0)) for p, gap in zip(positions, gaps, strict=True)], dim=-2
    )
    cache = build_cache(core.config)
    assert cache is not None
    logits = core(
        **fields,
        attention_mask=mask,
        position_ids=rotary.to(device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    following = (torch.stack([p.max() for p in positions]) + 1).to(device).repeat_interleave(copies)
    rows = _Rows(
        cache=cache,
        numbers=torch.arange(len(following), device=device),
        ended=torch.zeros(len(following), dtype=torch.bool, device=device),
        positions=following[:, None].expand(*rotary.shape[:-2], -1, -1),
        mask=nn.functional.pad(mask.repeat_interleave(copies, 0), (0, room), value=True) if padded else None,
    )
    return rows, logits.repeat_interleave(copies, 0)


def _step(core: Any, rows: _Rows, chosen: Int[Tensor, "R"]) -> Float[Tensor, "R V"]:
    """Write the chosen tokens into the cache and give the logits of the next."""
    seen = rows.cache.get_seq_length() + 1
    logits = core(
        input_ids=chosen[:, None],
        attention_mask=None if rows.mask is None else rows.mask[:, :seen],
        position_ids=rows.positions,
        past_key_values=rows.cache,
        use_cache=True,
    ).logits[:, -1]
    rows.positions = rows.positions + 1
    return logits


class _Chooser:
    """Chooses the next token of every row."""

    def __init__(self, core: Any, sampling: Sampling | None, uniforms: Float64[Tensor, "N T"] | None) -> None:
        self._uniforms = uniforms
        self._temperature = 1.0 if sampling is None else sampling.temperature
        self._warpers = [] if sampling is None else sampling.warpers()
        device = next(core.parameters()).device
        self._reserved = torch.tensor(reserved_tokens(core), dtype=torch.long, device=device)

    def __call__(
        self, logits: Float[Tensor, "R V"], numbers: Int[Tensor, "R"], step: int
    ) -> tuple[Int[Tensor, "R"], tuple[Float[Tensor, "R"], Float[Tensor, "R"]] | None]:
        """The tokens; where they are drawn, their log-probabilities and the entropy of the distribution."""
        if self._uniforms is None:
            return logits.index_fill(1, self._reserved, float("-inf")).argmax(-1), None
        scaled = logits.float() if self._temperature == 1.0 else logits.float() / self._temperature
        logprobs = scaled.log_softmax(-1)
        narrowed = logprobs.index_fill(1, self._reserved, float("-inf"))
        for warp in self._warpers:
            narrowed = warp(None, narrowed)
        chosen = draw(narrowed, self._uniforms[numbers, step])
        entropy = torch.special.entr(logprobs.exp()).sum(-1)
        return chosen, (logprobs.gather(1, chosen[:, None]).squeeze(1), entropy)


def draw(scores: Float[Tensor, "R V"], uniforms: Float64[Tensor, "R"]) -> Int[Tensor, "R"]:
    """Draw one token per row, with probability proportional to ``exp(scores)``: the inverse transform.

    >>> draw(torch.tensor([[0.25, 0.0, 0.75]]).log().expand(2, 3), torch.tensor([0.24, 0.26]).double())
    tensor([0, 2])
    """
    cumulative = scores.exp().cumsum(-1, dtype=torch.float64)
    passed = uniforms * cumulative[:, -1]
    chosen = torch.searchsorted(cumulative, passed[:, None], right=True).squeeze(1)
    return chosen.clamp(max=scores.shape[1] - 1)
