"""What a store of verdicts holds, what it cost, and what it has saved."""

from __future__ import annotations

from dataclasses import dataclass

from radflow.judges.verdicts.rows import Of, StoredVerdict
from radflow.judges.verdicts.store import VerdictStore


@dataclass(frozen=True, kw_only=True)
class JudgeStatistics:
    """One judge, one prompt, one kind of question; over all runs that shared the store.

    Attributes:
        judge: of the identity.
        model: likewise.
        prompt: its version.
        kind: of the questions.
        verdicts: kept.
        yes: those of them that say yes.
        misses: questions that were asked.
        hits: answers given without asking.
        calls: requests that the kept verdicts took; one that was imported took them elsewhere.
        prompt_tokens: likewise.
        completion_tokens: likewise.
        saved_calls: requests that the hits would have taken.
        saved_prompt_tokens: likewise.
        saved_completion_tokens: likewise.
    """

    judge: str
    model: str
    prompt: str
    kind: str
    verdicts: int
    yes: int
    misses: int
    hits: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    saved_calls: int
    saved_prompt_tokens: int
    saved_completion_tokens: int

    @property
    def yes_share(self) -> float:
        """Of the kept verdicts, 0 to 1; NaN where there are none."""
        return self.yes / self.verdicts if self.verdicts else float("nan")

    @property
    def hit_share(self) -> float:
        """Of all answers given, 0 to 1; NaN where there were none."""
        given = self.hits + self.misses
        return self.hits / given if given else float("nan")

    def money_saved(self, *, prompt_price: float, completion_price: float) -> float:
        """What the hits would have cost, in the currency of the prices, which are per million tokens."""
        return (
            self.saved_prompt_tokens * prompt_price + self.saved_completion_tokens * completion_price
        ) / 1e6

    def money_spent(self, *, prompt_price: float, completion_price: float) -> float:
        """What the kept verdicts cost, likewise."""
        return (self.prompt_tokens * prompt_price + self.completion_tokens * completion_price) / 1e6


@dataclass(frozen=True, kw_only=True)
class StoreStatistics:
    """One store.

    Attributes:
        size: of the file with its write-ahead log, in bytes.
        damaged: rows that are not as they were written; their questions count as not asked.
        judges: one entry for each judge, model, prompt and kind.
    """

    size: int
    damaged: int
    judges: tuple[JudgeStatistics, ...]


def statistics(store: VerdictStore) -> StoreStatistics:
    """Read a store through and count.

    Raises:
        DataError: the store is damaged as a whole.
        NotWritableError: it cannot be opened.
    """
    used, rows = store.used(), store.scan()
    kept: dict[Of, list[StoredVerdict]] = {of: [] for of in used}
    for verdict in rows:
        if verdict is not None:
            kept.setdefault(verdict.of, []).append(verdict)
    return StoreStatistics(
        size=store.size,
        damaged=rows.count(None),
        judges=tuple(_summarise(of, kept[of], used.get(of, (0, 0, 0, 0, 0))) for of in sorted(kept)),
    )


def _summarise(of: Of, verdicts: list[StoredVerdict], used: tuple[int, ...]) -> JudgeStatistics:
    judge, model, prompt, kind = of
    misses, hits, saved_prompt_tokens, saved_completion_tokens, saved_calls = used
    return JudgeStatistics(
        judge=judge,
        model=model,
        prompt=prompt,
        kind=kind,
        verdicts=len(verdicts),
        yes=sum(verdict.verdict for verdict in verdicts),
        misses=misses,
        hits=hits,
        calls=sum(verdict.calls for verdict in verdicts),
        prompt_tokens=sum(verdict.prompt_tokens for verdict in verdicts),
        completion_tokens=sum(verdict.completion_tokens for verdict in verdicts),
        saved_calls=saved_calls,
        saved_prompt_tokens=saved_prompt_tokens,
        saved_completion_tokens=saved_completion_tokens,
    )
