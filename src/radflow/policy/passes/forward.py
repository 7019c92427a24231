"""The forward of every pass: the packed row where it is right, the plain one everywhere else.

"Right" is not taken on trust. The first groups go through the model both ways; the packed row stays in use
only if the two agree. Whatever is odd about a model, its numbers are those of the plain forward.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from radflow.policy.families import bare, is_known
from radflow.policy.groups import Group
from radflow.policy.images.features import evaluating
from radflow.policy.load import Policy
from radflow.policy.passes.attention import SharedPrefixError
from radflow.policy.passes.counting import FORWARD, FORWARD_AND_BACKWARD
from radflow.policy.passes.logprobs import completion_logits, completion_logprobs
from radflow.policy.passes.shared_prefix import group_logits, shared_prefix_logprobs
from radflow.policy.prompts import EncodedPrompt, PromptEncoder

TOLERANCE = 1e-3
"""Largest difference in nats that float32 may show between the two forwards; they differ by about 1e-6."""


class GroupForward:
    """Log-probabilities of groups, with every prefix computed once where the model allows it.

    Args:
        policy: whose model it is.
        model: the policy's model as a data-parallel wrapper holds it; every pass goes through it.
        temperature: of sampling.
        shared_prefix: whether to try the packed row at all.
        say: told once, in one line, when the packed row is not used.

    Attributes:
        passes: token passes of all calls so far, as `radflow.policy.passes.counting` counts them.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        model: nn.Module | None = None,
        temperature: float = 1.0,
        shared_prefix: bool = True,
        say: Callable[[str], None] = print,
    ) -> None:
        self._policy = policy
        self._encoder = policy.encoder
        self._model = policy.model if model is None else model
        self._temperature = temperature
        self._say = say
        self._packed: bool | None = None if shared_prefix else False
        self.passes = 0

    def __call__(self, groups: Sequence[Group]) -> tuple[Float[Tensor, "N T"], Bool[Tensor, "N T"]]:
        """Log-probabilities in nats and their mask; rows are the completions in the order of the groups."""
        if self._packed is None:
            self._packed = self._agrees(groups[:2])
        each = FORWARD_AND_BACKWARD if torch.is_grad_enabled() else FORWARD
        self.passes += each * sum(self.tokens(group) for group in groups)
        return self._shared(self._model, groups) if self._packed else self._plain(self._model, groups)

    def tokens(self, group: Group) -> int:
        """Tokens that go through the model for one group."""
        prefix = len(self._encoder(group.study).input_ids)
        lengths = [len(c.token_ids) for c in group.completions]
        if self._packed is False:
            return len(lengths) * (prefix + max(lengths))
        return prefix + sum(lengths)

    @torch.no_grad()
    def logits(self, group: Group) -> Float[Tensor, "M V"]:
        """Logits, divided by the temperature, from which each token of a group was drawn, row after row."""
        if self._packed is None:
            self._packed = self._agrees([group])
        prompt, completions = self._encoder(group.study), [c.token_ids for c in group.completions]
        how = {"pad_id": self._policy.pad_id, "temperature": self._temperature}
        if not self._packed:
            logits, mask = completion_logits(self._model, [prompt] * len(completions), completions, **how)
            return logits[mask]
        features = self._policy.features_of([prompt])
        return group_logits(self._model, prompt, completions, features=features, **how)

    def _shared(self, model: nn.Module, groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
        prompts = [self._encoder(group.study) for group in groups]
        return shared_prefix_logprobs(
            model,
            prompts,
            [[c.token_ids for c in group.completions] for group in groups],
            features=self._policy.features_of(prompts),
            pad_id=self._policy.pad_id,
            temperature=self._temperature,
        )

    def _plain(self, model: nn.Module, groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
        prompts = [self._policy.prompt(group.study) for group in groups for _ in group.completions]
        return completion_logprobs(
            model,
            prompts,
            [c.token_ids for group in groups for c in group.completions],
            pad_id=self._policy.pad_id,
            temperature=self._temperature,
        )

    def _row_by_row(self, groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
        """The plain forward in passes of one row: the check may not need more memory than a packed pass."""
        rows = [
            self._plain(self._policy.model, [replace(group, completions=(completion,))])[0][0]
            for group in groups
            for completion in group.completions
        ]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        steps = torch.arange(int(lengths.max()), device=lengths.device)
        return pad_sequence(rows, batch_first=True), steps < lengths[:, None]

    def _agrees(self, groups: Sequence[Group]) -> bool:
        """Whether both ways give the same for these groups; says so where they do not."""
        model = self._policy.model
        name = type(bare(model)).__name__
        if not is_known(model):
            self._say(f"{name}: not a family that prefixes are shared for; one row per completion instead")
            return False
        with torch.no_grad(), evaluating(model):
            plain, mask = self._row_by_row(groups)
            try:
                shared, _ = self._shared(model, groups)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # whatever it is, the plain forward does without
                self._say(f"{name}: sharing prefixes failed ({error}); one row per completion instead")
                return False
            difference, allowed = (plain - shared)[mask].abs(), TOLERANCE
            if bare(model).dtype == torch.float32:
                off = float(difference.max())
            else:
                off = float(difference.mean())
                with nudged_inputs(model):
                    allowed = float((plain - self._row_by_row(groups)[0])[mask].abs().mean())
        if off <= allowed:
            return True
        self._say(
            f"{name}: log-probabilities with shared prefixes are off by {off:.2g} nats, more than "
            f"{allowed:.2g}; one row per completion instead"
        )
        return False


@contextmanager
def nudged_inputs(model: nn.Module) -> Generator[None]:
    """Within the block every token enters the model off by one unit in the last place.

    What comes out then is off by about as much as 16-bit numbers are from float32 anyway (within a factor of
    two, over nine families and 2 to 24 layers), while the packed row stays four times closer to the plain.
    So the mean shift is a measure of "the same but for rounding" that knows the model's depth and scale.
    """

    def nudge(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        up = torch.arange(output.shape[-1], device=output.device) % 2 * 2 - 1
        return output * (1 + torch.finfo(output.dtype).eps * up).to(output.dtype)

    hook = bare(model).get_input_embeddings().register_forward_hook(nudge)
    try:
        yield
    finally:
        hook.remove()


def group_logprobs(
    model: nn.Module,
    groups: Sequence[Group],
    encoder: PromptEncoder,
    *,
    pad_id: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """Log-probabilities of all completions of some groups, in the order of the groups, prefixes shared.

    A family that is not known, or an attention that refuses, gets the plain forward. `GroupForward` also
    checks one way against the other, keeps image features and says which way it goes.
    """
    prompts = [encoder(group.study) for group in groups]
    completions = [[c.token_ids for c in group.completions] for group in groups]
    if is_known(model):
        try:
            return shared_prefix_logprobs(model, prompts, completions, pad_id=pad_id, temperature=temperature)
        except SharedPrefixError:
            pass
    repeated: list[EncodedPrompt] = [p for p, own in zip(prompts, completions, strict=True) for _ in own]
    flat = [tokens for own in completions for tokens in own]
    return completion_logprobs(model, repeated, flat, pad_id=pad_id, temperature=temperature)
