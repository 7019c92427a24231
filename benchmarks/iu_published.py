"""A system beside what is published on IU X-Ray, by one protocol: R2Gen's, on its 590 test studies.

    python benchmarks/iu_published.py                                    # controls and published rows alone
    python benchmarks/iu_published.py runs/iu-xray                       # every system that a run generated
    python benchmarks/iu_published.py mine.csv --json                    # study_id and report, any table

Only Findings are scored; of a report with an Impression that is left out, and a report without headers counts
as Findings. Studies are matched by their number (CXR1234), and those outside R2Gen's test split are left out,
with a count. References are Open-i's, from the torchxrayvision package (R2Gen's file has the same texts).

``r2gen_protocol.py`` says what is done to the texts. "whole" is BLEU-4 against whole references with all
their words; brackets hold the middle 95 % of 1,000 resamples of the studies. Labels are read by rules,
uncertain as positive; published ones are CheXbert's. iu_published.toml has the published rows, with sources.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import r2gen_protocol as protocol

from radflow.baselines import most_frequent_report
from radflow.baselines.neighbour import random_place
from radflow.errors import DataError, MissingFileError
from radflow.evaluation.files.predictions import read_predictions
from radflow.evaluation.files.rexrank import FINDINGS, scored_text
from radflow.metrics.chexpert_f1 import FIVE
from radflow.metrics.label_f1 import corpus_label_f1
from radflow.readers import CHEXPERT_OBSERVATIONS, load
from radflow.studies.sources.openi import open_i_reports, r2gen_split
from radflow.studies.study import Split

PUBLISHED = Path(__file__).with_suffix(".toml")
WORDS = {
    **{f"bleu{order}": f"BLEU-{order}" for order in protocol.ORDERS},
    "bleu4_interval": "95 %",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "bleu4_whole": "whole",
    "distinct": "distinct",
}
LABELS = {
    f"{average}_f1_{count}": f"{average} F1-{count}"
    for count in (14, 13, 5)
    for average in ("macro", "micro")
}
_NUMBER = re.compile(r"(?:CXR)?(?:1_(?=1_IM))?(\d+)(?:_.*)?")


@dataclass(frozen=True)
class R2GenSplit:
    """R2Gen's split of IU X-Ray: report number to Findings, for each part."""

    train: Mapping[int, str]
    validate: Mapping[int, str]
    test: Mapping[int, str]

    @classmethod
    def read(cls) -> R2GenSplit:
        parts: dict[Split, dict[int, str]] = {"train": {}, "validate": {}, "test": {}}
        places = r2gen_split()
        for report in open_i_reports():
            if report.number in places and report.findings:
                parts[places[report.number]][report.number] = report.findings
        return cls(**parts)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        return protocol.vocabulary_of(map(protocol.tokens_of, self.train.values()))

    def references(self, part: Mapping[int, str]) -> list[list[str]]:
        return [
            protocol.reference_tokens(protocol.tokens_of(text), self.vocabulary) for text in part.values()
        ]


def study_number(study: str) -> int:
    """The number of an Open-i report in an id of any of the archives.

    >>> study_number("CXR1000_IM-0003"), study_number("CXR1_1_IM-0001"), study_number("CXR38")
    (1000, 1, 38)
    """
    match = _NUMBER.fullmatch(study)
    if match is None:
        raise DataError(f"study {study!r}: expected an id of IU X-Ray such as CXR1000 or CXR1000_IM-0003")
    return int(match[1])


def systems(place: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """Name and Findings by report number, of a file or of every system of a run's folder."""
    files = sorted(place.glob("generate/*.jsonl")) if place.is_dir() else [place]
    if not files:
        raise MissingFileError(f"{place}: expected generate/*.jsonl of a finished run; found none")
    for file in files:
        found = {
            study_number(row.study_id): " ".join(scored_text(row.text, FINDINGS).split())  # as Open-i's are
            for row in read_predictions(file)
        }
        yield (f"{place.name}/{file.stem}" if place.is_dir() else file.stem), found


def controls(split: R2GenSplit) -> Iterator[tuple[str, dict[int, str]]]:
    """Systems that see no picture."""
    training = list(split.train.values())
    yield "most frequent training Findings", dict.fromkeys(split.test, most_frequent_report(training))
    yield "best constant, chosen on validation", dict.fromkeys(split.test, best_constant(split))
    others = {study: training[random_place(f"CXR{study}", len(training))] for study in split.test}
    yield "Findings of a random training study", others


def best_constant(split: R2GenSplit) -> str:
    """The training Findings that, written for every validation study, have the highest BLEU-4."""
    references = split.references(split.validate)
    counts = [[protocol.ngrams(tokens, order) for order in protocol.ORDERS] for tokens in references]
    column = {
        gram: place for place, gram in enumerate({g for each in counts for count in each for g in count})
    }
    table = np.zeros((len(references), len(column)), np.int64)
    for row, count in ((row, count) for row, each in enumerate(counts) for count in each):
        table[row, [column[gram] for gram in count]] = list(count.values())
    lengths = sum(map(len, references))

    def bleu4(text: str) -> float:
        tokens = protocol.tokens_of(text)[: protocol.LONGEST_REPORT]
        hits = []
        for order in protocol.ORDERS:
            known = {column[gram]: n for gram, n in protocol.ngrams(tokens, order).items() if gram in column}
            hits.append(np.minimum(table[:, list(known)], list(known.values())).sum())
        guesses = [len(references) * max(len(tokens) - order + 1, 0) for order in protocol.ORDERS]
        return protocol.bleu(np.array([*hits, *guesses, len(references) * len(tokens), lengths]))[-1]

    return max(dict.fromkeys(split.train.values()), key=bleu4)


def bleu4_interval(statistics: np.ndarray, resamples: int = 1000) -> list[float]:
    """The middle 95 % of BLEU-4 over resampled studies."""
    count = len(statistics)
    times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), resamples)
    return np.percentile(protocol.bleu(times @ statistics)[:, -1], [2.5, 97.5]).tolist()


def measure(findings: Mapping[int, str], split: R2GenSplit, *, with_meteor: bool) -> dict[str, Any]:
    """Every figure of one system, on the test studies that it has a report for."""
    studies = {study: text for study, text in split.test.items() if study in findings}
    if not studies:
        raise DataError("no prediction is of a study of R2Gen's test split; ids look like CXR3030")
    texts = [findings[study] for study in studies]
    whole = [protocol.tokens_of(text) for text in texts]
    ours, theirs = [tokens[: protocol.LONGEST_REPORT] for tokens in whole], split.references(studies)
    statistics = protocol.bleu_statistics(ours, theirs)
    uncut = protocol.bleu_statistics(whole, [protocol.tokens_of(text) for text in studies.values()])
    bleu = protocol.bleu(statistics.sum(axis=0)).tolist()
    return {
        **{f"bleu{order}": value for order, value in zip(protocol.ORDERS, bleu, strict=True)},
        "bleu4_interval": bleu4_interval(statistics),
        "meteor": protocol.meteor(ours, theirs) if with_meteor else None,
        "rouge_l": protocol.rouge_l(ours, theirs),
        "cider": protocol.cider(ours, theirs),
        "bleu4_whole": protocol.bleu(uncut.sum(axis=0)).tolist()[-1],
        "distinct": len({" ".join(tokens) for tokens in whole}),
        **label_figures(texts, list(studies.values())),
        "studies": len(studies),
        "without_report": len(split.test) - len(studies),
        "not_in_the_split": len(findings.keys() - split.test.keys()),
    }


def label_figures(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    ours, theirs = (load("chexpert-rules")(side) for side in (texts, references))
    figures = {}
    for observations in (CHEXPERT_OBSERVATIONS, CHEXPERT_OBSERVATIONS[:-1], FIVE):
        corpus = corpus_label_f1(ours, theirs, observations)
        figures[f"macro_f1_{len(observations)}"] = corpus.macro
        figures[f"micro_f1_{len(observations)}"] = corpus.micro
    return figures


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows as an aligned Markdown table; those without any of the columns are left out."""
    shown = [row for row in rows if any(row.get(name) is not None for name in columns)]
    names = [name for name in columns if any(row.get(name) is not None for row in shown)]
    cells = [["", *(columns[name] for name in names)]]
    cells += [[row["system"], *(_cell(row.get(name)) for name in names)] for row in shown]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    padded = (
        [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        for row in cells
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _cell(value: float | list[float] | None) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_cell, value))}]"
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("places", nargs="*", type=Path, help="a run's folder, or a file of reports")
    parser.add_argument("--meteor", action="store_true", help="needs Java and pycocoevalcap; minutes")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    args = parser.parse_args()
    split = R2GenSplit.read()
    measured = [
        {"system": name, **measure(findings, split, with_meteor=args.meteor)}
        for name, findings in [
            *controls(split),
            *(found for place in args.places for found in systems(place)),
        ]
    ]
    published = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    if args.json:
        print(json.dumps({"measured": measured, **published}))
        return
    for row in measured:
        if row["studies"] < len(split.test) or row["not_in_the_split"]:
            print(
                f"{row['system']}: scored on {row['studies']} of R2Gen's {len(split.test)} test studies; "
                f"{row['not_in_the_split']} predictions are of other studies\n"
            )
    for title, rows in (
        ("Measured here", measured),
        ("Published, by this protocol", published["published"]),
        ("Reproduced by others", published["reproduced"]),
        ("Published, by another protocol", published["other"]),
    ):
        print(f"{title}\n\n{table(rows, WORDS)}\n")
    print("Labels: measured here by rules, published by CheXbert\n")
    print(table([*measured, *published["other"]], LABELS))


if __name__ == "__main__":
    main()
