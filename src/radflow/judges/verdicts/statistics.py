"""What a store of verdicts holds, what it cost, and what it has saved."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.judges.verdicts.rows import Of, StoredVerdict
from radflow.judges.verdicts.store import VerdictStore


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What answers took, or would have taken: requests, and tokens of questions and answers."""

    calls: int
    prompt_tokens: int
    completion_tokens: int

    def money(self, *, prompt_price: float, completion_price: float) -> float:
        """In the currency of the prices, which are per million tokens."""
        return (self.prompt_tokens * prompt_price + self.completion_tokens * completion_price) / 1e6


@dataclass(frozen=True, kw_only=True)
class JudgeStatistics:
    """One judge, one prompt, one kind of question; over all runs that shared the store.

    Attributes:
        judge, model, prompt, kind: of the verdicts.
        verdicts: kept.
        yes: those of them that say yes.
        misses: questions that were asked.
        hits: answers given without asking.
        spent: on the kept verdicts; for one that was imported, elsewhere.
        saved: by the hits.
    """

    judge: str
    model: str
    prompt: str
    kind: str
    verdicts: int
    yes: int
    misses: int
    hits: int
    spent: Cost
    saved: Cost

    @property
    def yes_share(self) -> float:
        """Of the kept verdicts, 0 to 1; NaN where there are none."""
        return self.yes / self.verdicts if self.verdicts else float("nan")

    @property
    def hit_share(self) -> float:
        """Of all answers given, 0 to 1; NaN where there were none."""
        given = self.hits + self.misses
        return self.hits / given if given else float("nan")


@dataclass(frozen=True, kw_only=True)
class StoreStatistics:
    """One store: bytes on disk, damaged rows (their questions count as not asked), and what judges have."""

    size: int
    damaged: int
    judges: tuple[JudgeStatistics, ...]


def statistics(store: VerdictStore) -> StoreStatistics:
    """Read a store through and count; it raises what the store raises."""
    used, rows = store.used(), store.scan()
    kept: dict[Of, list[StoredVerdict]] = {of: [] for of in used}
    for verdict in rows:
        if verdict is not None:
            kept.setdefault(verdict.of, []).append(verdict)
    judges = tuple(_summarise(of, kept[of], *used.get(of, (0, 0, 0, 0, 0))) for of in sorted(kept))
    return StoreStatistics(size=store.size, damaged=rows.count(None), judges=judges)


def _summarise(
    of: Of, kept: list[StoredVerdict], misses: int, hits: int, prompt: int, completion: int, calls: int
) -> JudgeStatistics:
    return JudgeStatistics(
        **dict(zip(("judge", "model", "prompt", "kind"), of, strict=True)),
        verdicts=len(kept),
        yes=sum(verdict.verdict is True for verdict in kept),
        misses=misses,
        hits=hits,
        spent=Cost(
            calls=sum(verdict.calls for verdict in kept),
            prompt_tokens=sum(verdict.prompt_tokens for verdict in kept),
            completion_tokens=sum(verdict.completion_tokens for verdict in kept),
        ),
        saved=Cost(calls=calls, prompt_tokens=prompt, completion_tokens=completion),
    )
