"""``radflow triage``: the criticality flag of every study by a judge, beside what the rules say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from radflow import judges
from radflow.cli.judge.agreement_screen import plain_table, print_agreement
from radflow.cli.judge.options import judge_knobs, judge_sections, opened
from radflow.cli.languages import say_languages
from radflow.cli.options import TriageOptions
from radflow.files import atomic_file
from radflow.judges.agreement import agreement
from radflow.judges.base import critical
from radflow.readers.evidence import TRIAGE
from radflow.reports.language import LanguageCount
from radflow.run.studies import triage
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest
from radflow.studies.places import noted
from radflow.studies.study import SPLITS
from radflow.tables.writing import csv_writer
from radflow.workspace import bar

SHOWN = 5
ANSWERS = ("critical", "normal")


def triage_command(
    screen: Console, errors: Console, studies: Path, options: TriageOptions, given: Mapping[str, str]
) -> None:
    """Annotate a manifest and compare the judge with the rules.

    Every annotation is made anew, whoever made the one before. ``given`` says how the judge is asked.

    Raises:
        RadflowError: the manifest has a bad study, the judge cannot be had or left a question open, a place
            that cannot be written. The manifest is then as it was.
    """
    out = options.out or studies
    knobs = judge_knobs(judge_sections(given)["judge"], beside=out)
    # Images are not looked at, and no study may be lost: the manifest is written again.
    before = read_manifest(studies, check_images=False, max_bad_share=0.0).studies
    languages = LanguageCount().add_all((study.study_id, study.reference.text) for study in before)
    any_language = options.any_language or options.judge != "rules"
    then = "the rules do not read that, a language model may"
    say_languages(errors, str(studies), languages, any_language=any_language, then=then)
    with opened(options.judge, knobs, errors) as judge, bar("triage", len(before), errors) as advance:
        blank = [replace(study, critical=None, critical_by=None) for study in before]
        after = triage(blank, judge, advance=advance)
    write_manifest(out, after, places=(studies.parent, *noted(studies)))  # it allows no more than before
    by_rules = critical(judges.load("rules"), after)
    _print(screen, after, by_rules)
    _say_before(screen, before)
    if options.differences is not None:
        count = _write_differences(options.differences, after, by_rules, texts=options.texts)
        screen.print(f"wrote {count:,} differences to {options.differences}", markup=False)
    screen.print(f"wrote {len(after):,} studies to {out}", markup=False)


def _print(screen: Console, studies: Sequence[Study], by_rules: Sequence[bool]) -> None:
    by_judge = [bool(study.critical) for study in studies]
    name = str(studies[0].critical_by)
    if name != TRIAGE:
        print_agreement(
            screen,
            agreement(by_rules, by_judge),
            title=f"Criticality of {len(studies):,} studies",
            judges=(TRIAGE, name),
            answers=ANSWERS,
        )
    _print_shares(screen, studies, {TRIAGE: by_rules, name: by_judge})
    differ = [
        study.study_id for study, rules in zip(studies, by_rules, strict=True) if study.critical != rules
    ]
    if differ:
        more = ", ..." if len(differ) > SHOWN else ""
        screen.print(f"they differ on {len(differ):,}: {', '.join(differ[:SHOWN])}{more}", markup=False)


def _print_shares(screen: Console, studies: Sequence[Study], flags: Mapping[str, Sequence[bool]]) -> None:
    """Critical share of each split, by each."""
    table = plain_table("split", "studies", *(f"critical by {name}" for name in flags))
    for split in ("all", *SPLITS):
        rows = [row for row, study in enumerate(studies) if split in ("all", study.split)]
        if rows:
            critical = (sum(own[row] for row in rows) / len(rows) for own in flags.values())
            table.add_row(split, f"{len(rows):,}", *(f"{share:.1%}" for share in critical))
    screen.print(table)


def _say_before(screen: Console, studies: Sequence[Study]) -> None:
    """Whose annotations were replaced: a person's are not made again in a minute."""
    who = Counter(study.critical_by or "nobody named" for study in studies if study.critical is not None)
    if who:
        said = ", ".join(f"{count:,} by {name}" for name, count in who.most_common())
        screen.print(f"replaced annotations: {said}", markup=False)


def _write_differences(path: Path, studies: Sequence[Study], by_rules: Sequence[bool], *, texts: bool) -> int:
    """One row per study on which rules and judge differ."""
    differ = [
        (study, rules) for study, rules in zip(studies, by_rules, strict=True) if study.critical != rules
    ]
    with atomic_file(path) as file:
        write = csv_writer(file)
        write(["study_id", "split", TRIAGE, studies[0].critical_by, *(["report"] if texts else [])])
        for study, rules in differ:
            answers = (ANSWERS[not rules], ANSWERS[not study.critical])
            write([study.study_id, study.split, *answers, *([study.reference.text] if texts else [])])
    return len(differ)
