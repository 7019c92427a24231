"""How near radgraph-rules comes to RadGraph, and what the F1 built on it measures. Prints one JSON object.

    python benchmarks/radgraph_rules.py [--pairs 2000] [--annotated FILE]

``examples``: micro F1 against published annotations (tests/readers/radgraph_examples.toml), as the RadGraph
paper counts: an entity is right when its tokens and its label are, a relation when both its entities and its
type are.
``published_scores`` compares F1 of six text pairs with what the network's own package gives them.
``--annotated`` measures any file of annotated reports in the RadGraph JSON schema, such as the test set that
PhysioNet gives to credentialed users: {report id: {"text", "entities"}} (or "labeler_1" around "entities").

``correlation``: pairs of development reports of Open-i (no held-out report), a third at random, a third with
the nearest neighbour by TF-IDF, a third with the same CheXpert labels; how RadGraph F1 goes with label F1 and
BLEU-2, and with label F1 where BLEU-2 is held fixed (partial correlation); intervals by bootstrap over pairs.

``changes``: what is left of a report's score with itself when its text is changed.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from radflow.metrics import score
from radflow.metrics.radgraph_f1 import radgraph_f1
from radflow.readers import label_vector, load
from radflow.readers.radgraph import radgraph_rules
from radflow.reports import render_report
from radflow.studies.sources.openi import open_i_reports, r2gen_split

EXAMPLES = Path(__file__).parents[1] / "tests" / "readers" / "radgraph_examples.toml"
METRICS = ("radgraph_f1", "chexpert_f1", "bleu2")
SEED = 0

Facts = dict[str, Counter[Any]]


# Agreement ------------------------------------------------------------------------------------------------


def facts_of(graph: Mapping[str, Any]) -> Facts:
    """What is compared: entities by label, relations by type, each with its place in the text."""
    facts: Facts = {}
    entities = graph["entities"]
    for entity in entities.values():
        name = _name(entity)
        facts.setdefault(entity["label"], Counter())[name] += 1
        facts.setdefault("spans", Counter())[name[:2]] += 1
        for kind, target in entity["relations"]:
            facts.setdefault(kind, Counter())[name, _name(entities[target])] += 1
    return facts


def _name(entity: Mapping[str, Any]) -> tuple[int, int, str]:
    return entity["start_ix"], entity["end_ix"], entity["label"]


def example_graph(example: Mapping[str, Any]) -> dict[str, Any]:
    """An example of the TOML file in the RadGraph JSON schema."""
    entities = {
        str(number): {
            "tokens": tokens,
            "label": label,
            "start_ix": start,
            "end_ix": start + len(tokens.split()) - 1,
            "relations": [[k, str(to)] for source, k, to in example["relations"] if source == number],
        }
        for number, (tokens, label, start) in enumerate(example["entities"])
    }
    return {"text": example["text"], "entities": entities}


def agreement(graphs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Micro F1 of the rules over annotated reports, in all and by type."""
    counts: dict[str, np.ndarray] = {}
    for theirs, ours in zip(graphs, radgraph_rules([graph["text"] for graph in graphs]), strict=True):
        given, read = facts_of(theirs), facts_of(ours)
        for kind in given.keys() | read.keys():
            a, b = given.get(kind, Counter()), read.get(kind, Counter())
            both = sum((a & b).values())
            row = np.array([both, sum(b.values()) - both, sum(a.values()) - both])
            for group in (kind, _group(kind)):
                counts[group] = counts.get(group, np.zeros(3, int)) + row
    named = {
        kind: _f1(*counts[kind])
        for kind in sorted(counts, key=lambda kind: kind not in ("entities", "relations"))
    }
    return {"reports": len(graphs), **named}


def _group(kind: str) -> str:
    if kind == "spans":
        return "spans of any label"
    return "entities" if kind.isupper() else "relations"


def _f1(right: int, false: int, missed: int) -> dict[str, float]:
    f1 = 2 * right / max(1, 2 * right + false + missed)
    return {"f1": round(f1, 3), "right": int(right), "false": int(false), "missed": int(missed)}


def annotated(path: Path) -> list[dict[str, Any]]:
    """Reports of a file in the RadGraph JSON schema; labels of RadGraph-XL become those of RadGraph."""
    graphs = []
    for report in json.loads(path.read_text(encoding="utf-8")).values():
        entities = report.get("labeler_1", report)["entities"]
        plain = {key: {**entity, "label": _plain(entity["label"])} for key, entity in entities.items()}
        graphs.append({"text": report["text"], "entities": plain})
    return graphs


def _plain(label: str) -> str:
    if "::" not in label:
        return label
    if label.startswith("Anatomy"):
        return "ANAT-DP"
    return {"present": "OBS-DP", "absent": "OBS-DA", "uncertain": "OBS-U"}[re.split(r"::| ", label)[-1]]


def published() -> dict[str, Any]:
    """Agreement with the published examples and scores."""
    tables = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))
    parts = {
        name: agreement([example_graph(e) for e in tables["example"] if e["held_out"] == held_out])
        for name, held_out in (("used", False), ("held_out", True))
    }
    pairs = tables["pair"]
    texts = [pair["generated"] for pair in pairs], [pair["reference"] for pair in pairs]
    scores = {
        level: {
            "network": [round(pair[level], 3) for pair in pairs],
            "rules": [round(float(x), 3) for x in radgraph_f1(*texts, level=level)],
        }
        for level in ("simple", "partial", "complete")
    }
    return {"examples": parts, "published_scores": scores}


# Correlation ----------------------------------------------------------------------------------------------


def development_texts() -> list[str]:
    """Canonical texts with both sections, outside the R2Gen test split, each once."""
    test = {number for number, split in r2gen_split().items() if split == "test"}
    texts = (
        render_report(report.findings, report.impression)
        for report in open_i_reports()
        if report.number not in test and report.findings and report.impression
    )
    return list(dict.fromkeys(texts))


def draw_pairs(texts: Sequence[str], count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Pairs of different texts, ``(pairs, 2)`` places for each way to draw them."""
    each = count // 3
    first = rng.choice(len(texts), size=(3, each), replace=len(texts) < each)
    random = (first[0] + rng.integers(1, len(texts), each)) % len(texts)
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    near = vectors[first[1]] @ vectors.T
    near[np.arange(each), first[1]] = -1
    labels = [tuple(row) for row in label_vector(load("chexpert-rules")(texts))]
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(labels):
        alike.setdefault(row, []).append(place)
    same = [(place, alike[labels[place]]) for place in first[2] if len(alike[labels[place]]) > 1]
    partner = [next(p for p in rng.permutation(others)[:2] if p != place) for place, others in same]
    return {
        "random": np.stack([first[0], random], axis=1),
        "nearest": np.stack([first[1], np.asarray(near.argmax(axis=1)).ravel()], axis=1),
        "same labels": np.array([(place, other) for (place, _), other in zip(same, partner, strict=True)]),
    }


def correlations(values: np.ndarray) -> np.ndarray:
    """Of ``(pairs, 3)`` RadGraph F1, label F1, BLEU-2: three correlations and a partial one."""
    r = np.corrcoef(values, rowvar=False)
    graph_label, graph_bleu, label_bleu = r[0, 1], r[0, 2], r[1, 2]
    rest = np.sqrt((1 - graph_bleu**2) * (1 - label_bleu**2))
    return np.array([graph_label, graph_bleu, label_bleu, (graph_label - graph_bleu * label_bleu) / rest])


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks of each column: Pearson on them is Spearman."""
    from scipy.stats import rankdata

    return np.stack([rankdata(column) for column in values.T], axis=1)


CORRELATIONS = (
    "RadGraph F1 and label F1",
    "RadGraph F1 and BLEU-2",
    "label F1 and BLEU-2",
    "RadGraph F1 and label F1, BLEU-2 held fixed",
)


def with_intervals(values: np.ndarray, rng: np.random.Generator, rounds: int = 500) -> dict[str, Any]:
    """Spearman and Pearson correlations with 95 % bootstrap intervals over pairs."""
    found: dict[str, Any] = {"pairs": len(values)}
    for name, prepare in (("spearman", ranks), ("pearson", lambda x: x)):
        point = correlations(prepare(values))
        again = [
            correlations(prepare(values[rng.integers(0, len(values), len(values))])) for _ in range(rounds)
        ]
        low, high = np.percentile(again, [2.5, 97.5], axis=0)
        found[name] = {
            label: [round(float(x), 3) for x in row]
            for label, row in zip(CORRELATIONS, np.stack([point, low, high], axis=1), strict=True)
        }
    return found


def correlation(texts: Sequence[str], count: int) -> dict[str, Any]:
    """Correlations over all pairs and over each kind of them."""
    rng = np.random.default_rng(SEED)
    values = {}
    for name, pairs in draw_pairs(texts, count, rng).items():
        scores = score([texts[i] for i, _ in pairs], [texts[j] for _, j in pairs], METRICS)
        values[name] = np.stack([scores[metric] for metric in METRICS], axis=1)
    values = {"all": np.concatenate(list(values.values())), **values}
    return {
        name: {"means": dict(zip(METRICS, rows.mean(axis=0).round(3).tolist(), strict=True))}
        | (with_intervals(rows, rng) if rows[:, 1].std() else {"pairs": len(rows)})
        for name, rows in values.items()
    }


# Changes --------------------------------------------------------------------------------------------------


def flip_negation(text: str) -> str:
    """Deny nothing any more: every "no" and "without" goes."""
    return re.sub(r"\b(?:no|without)(?: evidence of)? ", "", text, flags=re.IGNORECASE)


def swap_sides(text: str) -> str:
    """Left becomes right and right becomes left."""
    other = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub(r"\b(?:left|right)\b", lambda m: other[m[0]], text, flags=re.IGNORECASE) if text else text


def shuffle_sentences(text: str) -> str:
    """The same sentences in another order, within the text."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return " ".join(np.random.default_rng(SEED).permutation(sentences).tolist())


def drop_a_sentence(text: str) -> str:
    """The longest sentence goes."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    longest = max(range(len(sentences)), key=lambda place: len(sentences[place]))
    return " ".join(sentence for place, sentence in enumerate(sentences) if place != longest)


CHANGES: dict[str, Callable[[str], str]] = {
    "sentences shuffled": shuffle_sentences,
    "sides swapped": swap_sides,
    "longest sentence dropped": drop_a_sentence,
    "negations removed": flip_negation,
}


def changes(texts: Iterable[str], count: int) -> dict[str, Any]:
    """Mean score of changed reports with themselves, of those that the change touches."""
    found = {}
    texts = list(texts)[:count]
    for name, change in CHANGES.items():
        pairs = [(change(text), text) for text in texts if change(text) != text]
        scores = score([a for a, _ in pairs], [b for _, b in pairs], METRICS)
        own = radgraph_f1([b for _, b in pairs], [b for _, b in pairs])
        kept = float((scores["radgraph_f1"] / np.where(own > 0, own, 1)).mean())
        found[name] = {"reports": len(pairs), "radgraph_f1 kept": round(kept, 3)} | {
            metric: round(float(values.mean()), 3)
            for metric, values in scores.items()
            if metric != "radgraph_f1"
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--annotated", type=Path)
    arguments = parser.parse_args()
    if arguments.annotated:
        print(json.dumps(agreement(annotated(arguments.annotated)), indent=1))
        return
    texts = development_texts()
    found = published() | {
        "correlation": correlation(texts, arguments.pairs),
        "changes": changes(texts, arguments.pairs // 4),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
