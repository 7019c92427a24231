"""The model behind ``radflow draft``, loaded once: studies in, drafts out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from radflow.drafting.trained_on import facts_of, find_model, name_of
from radflow.evaluation.decoding.consensus import Consensus
from radflow.judges.rules.judge import RulesJudge
from radflow.modality import MODALITIES
from radflow.policy import Completion, GroupForward, greedy_reports, load_policy, own_reports, sample_groups
from radflow.policy.sampling.words import greedy_logprobs, words_of
from radflow.readers.criticality import why
from radflow.readers.evidence import TRIAGE
from radflow.reports import parse_report
from radflow.reports.draft import Draft, Word, printable
from radflow.studies import Study
from radflow.workspace import derive_seed

_ASKED = ("prompt", "prompt_context", "prompt_prior", "max_new_tokens", "image_tokens", "image_square")
"""Knobs of the recipe that change what a model writes about a study."""


class Drafter:
    """Writes drafts with one model.

    Args:
        path: what ``--model`` names: a run's folder, a model folder or an adapter folder.
        uncertain_below: words with a smaller probability are marked.
        modality: of the studies, where nothing lies beside the model that says it; ``None`` leaves the rules
            to go by the words of each report.
        samples: reports sampled of each study, of which the consensus is the draft; 0 for one report of each.
        own: decode that one as the model's generation configuration says, not greedily.

    Raises:
        MissingFileError: no model there.
    """

    def __init__(
        self,
        path: Path,
        *,
        uncertain_below: float,
        modality: str | None = None,
        samples: int = 0,
        own: bool = False,
    ) -> None:
        self.folder, recipe = find_model(path)
        self.name = name_of(self.folder, recipe)
        self.batch_size = recipe.evaluation.batch_size
        self.prompt = tuple(getattr(recipe.policy, name) for name in _ASKED)
        self.uncertain_below = uncertain_below
        self.samples, self.own = samples, own
        self._temperature = recipe.evaluation.temperature
        self._knobs = knobs = recipe.policy
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self._policy = load_policy(self.folder, knobs, device=device or "cpu")
        self._policy.model.requires_grad_(False)  # features are kept only where nothing trains
        self.encode = self._policy.encoder
        self._forward = GroupForward(
            self._policy,
            say=lambda line: None,  # which forward it is changes nothing that a reader of drafts sees
        )
        facts = facts_of(self.folder)
        self._modality = facts.modality if facts is not None else modality
        self._judge = RulesJudge(modality=self._modality)

    def __call__(self, studies: Sequence[Study]) -> list[Draft]:
        """Write one draft per study, decoded together.

        Raises:
            DataError: a study's pictures cannot be read, or its prompt is too long.
        """
        written = self._consensus(studies) if self.samples else self._alone(studies)
        logprobs = greedy_logprobs(self._forward, self._policy, written)
        return [
            self._draft(study, completion, words_of(self._policy.tokenizer, completion, values))
            for (study, completion), values in zip(written, logprobs, strict=True)
        ]

    def _alone(self, studies: Sequence[Study]) -> list[tuple[Study, Completion]]:
        """One report of each study; one that is drawn follows from the study's id."""
        how = {"max_new_tokens": self._knobs.max_new_tokens, "batch_size": len(studies)}
        if self.own:
            return list(own_reports(self._policy, studies, seeds=self._seeds(studies), **how))
        return list(greedy_reports(self._policy, studies, **how))

    def _seeds(self, studies: Sequence[Study]) -> list[int]:
        return [derive_seed(0, "draft", study.study_id) for study in studies]

    def _consensus(self, studies: Sequence[Study]) -> list[tuple[Study, Completion]]:
        """Samples follow from a study's id, so a study drafted again gets the same draft."""
        groups = sample_groups(
            self._policy,
            studies,
            group_size=self.samples,
            max_new_tokens=self._knobs.max_new_tokens,
            seeds=self._seeds(studies),
            temperature=self._temperature,
            rows_at_once=max(self.batch_size, self.samples),
        )
        choose = Consensus(self._modality or studies[0].modality)
        places = choose([group.texts for group in groups])
        return [(group.study, group.completions[place]) for group, place in zip(groups, places, strict=True)]

    def _draft(self, study: Study, completion: Completion, words: tuple[Word, ...]) -> Draft:
        report = parse_report(printable(completion.text))
        consistent, reasons = None, ()
        if report.findings is not None and report.impression is not None:
            verdict = self._judge.explain(report.findings, report.impression)
            consistent, reasons = verdict.consistent, verdict.reasons
        said = self._modality is None or MODALITIES[self._modality].criticality == TRIAGE
        because = tuple(dict.fromkeys(r.phrase or r.entry for r in why(report))) if said else ()
        return Draft(
            study_id=study.study_id,
            report=report,
            words=words,
            uncertain_below=self.uncertain_below,
            finished=completion.finished,
            consistent=consistent,
            reasons=reasons,
            critical=self._judge.criticality([report])[0],
            because=because,
            model=self.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            indication=study.indication,
            drawn=study.drawn,
        )
