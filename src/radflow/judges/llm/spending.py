"""What a judge may cost: a cap on requests and one on tokens, over all that an endpoint is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from radflow.judges.llm.answers import Reply


@dataclass(kw_only=True)
class Spending:
    """Requests and tokens so far, beside their caps. Threads may share it.

    Attributes:
        max_calls: requests that may be sent, failed ones included; ``None`` is no cap. Never exceeded.
        max_tokens: tokens, of prompts and completions together, after which nothing more is sent. Requests
            that are under way then are still counted, so at most ``concurrency`` of them may lie above it.
        calls: requests sent.
        prompt_tokens: as the server reports them.
        completion_tokens: likewise.

    >>> spending = Spending(max_calls=1)
    >>> spending.take(), spending.take(), str(spending)
    (True, False, '1 of 1 calls, 0 tokens')
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens

    def take(self) -> bool:
        """Count one request, if there is room for it."""
        with self._lock:
            if self.max_calls is not None and self.calls >= self.max_calls:
                return False
            if self.max_tokens is not None and self.tokens >= self.max_tokens:
                return False
            self.calls += 1
            return True

    def add(self, reply: Reply) -> None:
        """Count the tokens of a reply."""
        with self._lock:
            self.prompt_tokens += reply.prompt_tokens or 0
            self.completion_tokens += reply.completion_tokens or 0

    def __str__(self) -> str:
        calls = f"{self.calls} of {self.max_calls}" if self.max_calls is not None else f"{self.calls}"
        tokens = f"{self.tokens} of {self.max_tokens}" if self.max_tokens is not None else f"{self.tokens}"
        return f"{calls} calls, {tokens} tokens"
