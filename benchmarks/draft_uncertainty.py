"""Are the words that `radflow draft` marks as uncertain wrong more often than the others?

Drafts the test studies of a run, aligns each draft with its reference report word by word, and calls a word
wrong that the alignment does not find in the reference at its place. Prints one JSON object:

    auc                 of 1 - p(word) for "wrong"; 0.5 says nothing; with its 95 % interval over studies
    auc_forks           the same for the first of a run of wrong words; those that follow it are left out
    auc_same_word       the same as auc among occurrences of one word: what p knows beyond which word it is
    auc_word_alone      of each word's share of wrong occurrences in the other studies: no probability at all
    wrong_if_marked, wrong_if_not, marked, wrong_found      at the threshold
    calibration         mean p beside the share of words that are right, by tenths of p

"Wrong" is "differs from this reference": another way to say the same counts as wrong. A probability speaks of
a word given all before it, so the words of a plaque that is not there are sure once its first word is
written: hence the forks.

    radflow run carotid-easy
    OMP_NUM_THREADS=1 python benchmarks/draft_uncertainty.py runs/carotid-easy --studies 400
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from radflow.drafting.trained_on import find_model
from radflow.policy import Completion, GroupForward, greedy_reports, load_policy
from radflow.policy.sampling.words import greedy_logprobs, token_logprobs_by_word
from radflow.studies import Study, read_manifest

HEADERS = ("findings", "impression")


@dataclass(frozen=True)
class Said:
    """One word of a draft."""

    study: int
    word: str
    product: float
    least: float
    wrong: bool


def aligned(draft: Sequence[str], reference: Sequence[str]) -> list[bool]:
    """Whether each word of a draft stands in the reference at its place."""
    found = [False] * len(draft)
    for match in SequenceMatcher(None, draft, reference, autojunk=False).get_matching_blocks():
        found[match.a : match.a + match.size] = [True] * match.size
    return found


def read(studies: Sequence[Study], path: Path) -> list[Said]:
    folder, recipe = find_model(path)
    knobs = recipe.policy
    policy = load_policy(folder, knobs)
    policy.model.requires_grad_(False)
    forward = GroupForward(policy)
    said = []
    for start in range(0, len(studies), 50):
        some = studies[start : start + 50]
        written = list(greedy_reports(policy, some, max_new_tokens=knobs.max_new_tokens, batch_size=50))
        logprobs = greedy_logprobs(forward, policy, written)
        for number, ((study, completion), values) in enumerate(zip(written, logprobs, strict=True), start):
            said += words(policy.tokenizer, number, study, completion, values)
    return said


def words(
    tokenizer: Any, number: int, study: Study, completion: Completion, logprobs: Sequence[float]
) -> list[Said]:
    found = token_logprobs_by_word(tokenizer, completion, logprobs)
    spelled = [completion.text[start:end].lower() for start, end, _ in found]
    reference = study.reference.canonical
    told = Completion(text=reference, token_ids=tuple(tokenizer(reference).input_ids), finished=True)
    truth = token_logprobs_by_word(tokenizer, told, [0.0] * len(told.token_ids))
    right = aligned(spelled, [reference[start:end].lower() for start, end, _ in truth])
    return [
        Said(number, word, math.exp(sum(values)), math.exp(min(values)), not ok)
        for word, (_, _, values), ok in zip(spelled, found, right, strict=True)
        if word not in HEADERS
    ]


def interval(said: Sequence[Said], scores: np.ndarray, resamples: int = 500) -> list[float]:
    """AUC with its bootstrap interval over studies."""
    wrong = np.array([s.wrong for s in said])
    rows = defaultdict(list)
    for i, s in enumerate(said):
        rows[s.study].append(i)
    groups, random = [np.array(r) for r in rows.values()], np.random.default_rng(0)
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([groups[i] for i in random.integers(0, len(groups), len(groups))])
        drawn.append(roc_auc_score(wrong[picked], scores[picked]))
    ends = np.percentile(drawn, [2.5, 97.5])
    return [round(float(x), 3) for x in (roc_auc_score(wrong, scores), *ends)]


def same_word(said: Sequence[Said]) -> float:
    """AUC over pairs of a wrong and a right occurrence of one word."""
    by_word = defaultdict(list)
    for s in said:
        by_word[s.word].append(s)
    total = weight = 0.0
    for group in by_word.values():
        wrong = np.array([s.wrong for s in group])
        pairs = int(wrong.sum()) * int((~wrong).sum())
        if pairs:
            total += pairs * roc_auc_score(wrong, [1 - s.product for s in group])
            weight += pairs
    return total / weight


def forks(said: Sequence[Said]) -> list[Said]:
    """Right words, and the first of each run of wrong ones."""
    before = [None, *said[:-1]]
    return [
        one
        for last, one in zip(before, said, strict=True)
        if not one.wrong or last is None or not last.wrong or last.study != one.study
    ]


def word_alone(said: Sequence[Said]) -> np.ndarray:
    """Each word's share of wrong occurrences in the other studies."""
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    own: dict[tuple[str, int], np.ndarray] = defaultdict(lambda: np.zeros(2))
    for s in said:
        counts[s.word] += (s.wrong, 1)
        own[s.word, s.study] += (s.wrong, 1)
    overall = np.mean([s.wrong for s in said])
    rest = [counts[s.word] - own[s.word, s.study] for s in said]
    return np.array([(wrong + overall) / (seen + 1) for wrong, seen in rest])


def measured(said: Sequence[Said], threshold: float) -> dict[str, Any]:
    p = np.array([s.product for s in said])
    wrong = np.array([s.wrong for s in said])
    marked = p < threshold
    tenths = np.minimum((p * 10).astype(int), 9)
    branching = forks(said)
    return {
        "auc": interval(said, 1 - p),
        "auc_forks": interval(branching, np.array([1 - s.product for s in branching])),
        "auc_least_token": interval(said, np.array([1 - s.least for s in said])),
        "auc_word_alone": interval(said, word_alone(said)),
        "auc_same_word": round(same_word(said), 3),
        "threshold": threshold,
        "wrong_if_marked": round(float(wrong[marked].mean()), 3),
        "wrong_if_not": round(float(wrong[~marked].mean()), 3),
        "marked": round(float(marked.mean()), 3),
        "wrong_found": round(float(marked[wrong].mean()), 3),
        "calibration": [
            {
                "mean_p": round(float(p[tenths == k].mean()), 3),
                "right": round(float(1 - wrong[tenths == k].mean()), 3),
                "words": int((tenths == k).sum()),
            }
            for k in range(10)
            if (tenths == k).any()
        ],
        "words": len(said),
        "wrong": round(float(wrong.mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", type=Path, help="another model than the run's last")
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--threshold", type=float, default=0.5)
    options = parser.parse_args()
    manifest = read_manifest(options.run / "prepare" / "studies.jsonl", check_images=False)
    studies = manifest.split("test")[: options.studies]
    said = read(studies, options.model or options.run)
    print(json.dumps({**measured(said, options.threshold), "studies": len(studies)}))


if __name__ == "__main__":
    main()
