"""What a rollout is made of."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.studies import Study


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One sampled report.

    Attributes:
        text: without special tokens.
        token_ids: as sampled, the end token included when there is one.
        logprobs: of those tokens under the policy that sampled them, in nats; ``None`` where the sampler
            does not give them exactly and one pass has to.
        entropy: of the distributions that its tokens were drawn from, their mean in nats per token; ``None``
            where the sampler does not give it.
        finished: whether it ended by itself rather than by the length limit.
        edited: whether it was mended after it was sampled (`radflow.training.editing`).
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    entropy: float | None = None
    finished: bool
    edited: bool = False


@dataclass(frozen=True, kw_only=True)
class Group:
    """One study and its completions."""

    study: Study
    completions: tuple[Completion, ...]

    @property
    def texts(self) -> list[str]:
        """The completions' texts."""
        return [completion.text for completion in self.completions]
