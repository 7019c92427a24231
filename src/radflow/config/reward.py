"""The recipe's sections ``reward`` and ``judge``: what a report is worth, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from radflow.config.section import Count, Names, Positive, Section, Share

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "diagnosis": {
        "syntax": 0.5,
        "domain": 0.25,
        "consistency": 0.25,
        "gamma": 2.0,
        "labels": "f_beta",
        "target": "report",
        "beta": 1.5,
        "rarity": 0.75,
    }
}
"""What a preset sets. R_domain of ``diagnosis`` is FindingMatch too, where the modality has it."""


class Reward(Section):
    """The hierarchical reward, R = syntax + domain + consistency + gamma * impression (Eq. 4-5)."""

    preset: Literal["paper", "diagnosis"] = "paper"
    """Values of the knobs below that the recipe does not set: ``paper`` is what they say, ``diagnosis`` pays
    hits and not silence (`PRESETS`, docs/gaming.md)."""
    syntax: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_syntax; the paper's is 1."""
    domain: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_domain; the paper's is 1."""
    consistency: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_consistent; the paper's is 1."""
    gamma: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of R_imp; the paper does not give its value."""
    syntax_metric: Annotated[str, Field(pattern=r"^(bleu2|bleu4|rouge_l|bertscore(:.+@5)?)$")] | None = None
    """What R_syntax is; the mean of BLEU-2 and ROUGE-L when not given. ``bleu2``, ``bleu4``, ``rouge_l``;
    ``bertscore`` with the offline MiniLM, or ``bertscore:FOLDER@5`` with distilroberta-base, rescaled. With
    the other weights at 0 it is the whole reward, as in the paper's Tables 5 and 6."""
    domain_metric: str | None = None
    """What R_domain is; the modality's metric of content by default, as in the paper. ``finding_match`` sees
    the side, place and degree of what is found in a chest, and what is denied."""
    impression_metric: str | None = None
    """What R_imp is; the modality's F1 of labels by default, as in the paper. Labels have no side."""
    labels: Literal["f1", "f_beta", "marginal"] = "f1"
    """What R_imp makes of labels where ``impression_metric`` names no metric. ``f1`` is the paper's, and
    pays 1 where neither report asserts anything. ``f_beta`` pays hits; ``marginal`` what a report adds to the
    macro F1 of the training split, as Target Exploration found it."""
    target: Literal["impression", "report"] = "impression"
    """What R_imp reads: the Impression, as in the paper, or the whole report."""
    beta: Positive = 2.0
    """How many times as much as precision recall counts in ``f_beta``."""
    rarity: Share = 0.5
    """Exponent of inverse prevalence in the weights of labels, in ``f_beta``; the training references give
    the prevalence."""
    silence: Share = 0.1
    """What ``f_beta`` pays a clean report of a study whose reference asserts nothing."""
    inventions: Annotated[float, Field(ge=0.0)] = 0.0
    """The most that findings beyond the labels cost that the report states and its reference does not, in
    ``f_beta`` and ``marginal``."""
    hit: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of what a hit adds in ``marginal``."""
    false_alarm: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of what an invented label takes away in ``marginal``."""
    miss: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of what a missed label takes away in ``marginal``."""
    judge: str = "rules"
    """Who says whether the Impression follows from the Findings: ``rules``; ``openai:<model>`` behind any
    OpenAI-compatible endpoint; ``local:<folder>`` with a causal language model. ``[judge]`` says how."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        return {**PRESETS.get(given.get("preset", ""), {}), **given} if isinstance(given, dict) else given


class Judge(Section):
    """How a judge that is a language model is asked, and what it may be told. The rule judge needs none."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an address may hold a password

    base_url: str = "https://api.openai.com/v1"
    """The endpoint: OpenAI's, or for example http://localhost:8000/v1 (vLLM), :11434/v1 (Ollama)."""
    allow_remote_text: bool = False
    """Report text may leave this machine, to the ``hosts`` and no others. Loopback is this machine."""
    hosts: Names = ()
    """Where text may go then: "api.openai.com", "llm.ward.example:8443", "http://10.0.0.7:8000"."""
    identifiers: Literal["block", "mask", "pass"] = "block"
    """Names, dates and numbers found in a text before it leaves this machine: ``block`` stops the run,
    ``mask`` replaces them by their kind, ``pass`` lets them go."""
    store: Path | None = None
    """Where verdicts are kept, to be shared by runs on this machine; relative to the recipe. The run's folder
    by default."""
    offline: bool = False
    """Ask no judge: every verdict must be in the store already, as when a published run is repeated."""
    on_failure: Literal["stop", "wait"] = "stop"
    """If the judge cannot be reached: stop the run, to be started again later, or ask until it answers."""
    longest_wait: Positive = 24.0
    """Hours that ``wait`` waits for one step's verdicts before the run stops after all."""
    votes: Count = 1
    """An odd number of answers to each question, of which the majority counts."""
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """Temperature of the judge's answers; above 0 with more than one vote."""
    concurrency: Count = 16
    """Requests under way at once."""
    timeout: Positive = 60.0
    """Seconds until the whole answer must be there."""
    max_calls: Count | None = None
    """Cap on requests for one start of the run, failed ones included; the run stops there."""
    max_tokens: Count | None = None
    """Cap on tokens, as the server counts them."""
    max_answer_tokens: Count = 64
    """Longest answer in tokens; models that think aloud need a few thousand."""
    collapsed_share: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.98
    """A judge is reported if more than this share of its answers are the same."""

    @field_validator("base_url")
    @classmethod
    def _is_plain_address(cls, url: str) -> str:
        address = urlsplit(url)
        if (
            address.scheme not in ("http", "https")
            or not address.hostname
            or address.username
            or address.query
        ):
            raise ValueError(
                "expected base_url to be an address like http://localhost:8000/v1, without a user, password "
                "or query; got another. A key belongs into RADFLOW_JUDGE_KEY in the environment"
            )
        return url

    @model_validator(mode="after")
    def _votes_can_decide(self) -> Judge:
        if self.votes % 2 == 0:
            raise ValueError(f"expected an odd number of votes, so that one side wins; got {self.votes}")
        if self.votes > 1 and self.temperature == 0:
            raise ValueError(
                f"expected a temperature above 0 (0.7, say) with {self.votes} votes, or votes = 1: at 0 "
                "every vote is the same"
            )
        return self
