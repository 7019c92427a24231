"""``radflow agree``: two judges on the same reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from radflow.cli.judge.agreement_screen import agreement_record, print_agreement
from radflow.cli.judge.options import ask, judge_knobs, judge_sections, opened
from radflow.cli.languages import say_languages
from radflow.cli.options import AgreeOptions
from radflow.cli.report_columns import report_texts
from radflow.cli.score.scoring import print_json
from radflow.cli.screens import say_remarks
from radflow.errors import DataError, RecipeError
from radflow.files import atomic_file
from radflow.judges.agreement import Agreement, agreement
from radflow.judges.base import Pair
from radflow.reports import Report, parse_report
from radflow.reports.files import read_rows
from radflow.reports.headers import read_headers
from radflow.reports.language import LanguageCount
from radflow.tables import Remarks
from radflow.tables.writing import csv_writer

ANSWERS = {"consistency": ("follows", "does not"), "criticality": ("critical", "normal")}
WITHOUT = {"consistency": "without both sections", "criticality": "without text"}
SECTIONS = ("judge", "first", "second")


class _Row(NamedTuple):
    """A report, and what is asked about it: its sections, its whole, or nothing where these are missing."""

    study_id: str
    question: Pair | Report | None


def agree_command(
    screen: Console, errors: Console, reports: Path, options: AgreeOptions, given: Mapping[str, str]
) -> None:
    """Ask both judges, print how far they agree, write both answers where asked.

    ``given`` says how the judges are asked.

    Raises:
        RadflowError: not two different judges, a file that cannot be read or holds nothing to ask about, a
            judge that left a question open, a place that cannot be written.
    """
    names = _names(options.judge, given)
    remarks = Remarks()
    rows = _read(reports, options, remarks)
    texts = ((row.study_id, _text(row.question)) for row in rows)
    languages = LanguageCount().add_all((study, text) for study, text in texts if text)
    any_language = options.any_language or "rules" not in options.judge
    then = "the rules do not read that, a language model may"
    say_languages(errors, str(reports), languages, any_language=any_language, then=then)
    verdicts = _ask_both(rows, options, given, beside=options.out or reports, errors=errors)
    _print(screen, agreement(*verdicts), names, options, skipped=len(rows) - len(verdicts[0]))
    say_remarks(errors, remarks)
    if options.out is not None:
        _write(options.out, rows, names, verdicts)
        errors.print(f"wrote {len(rows):,} reports to {options.out}", markup=False)


def _names(judges: Sequence[str], given: Mapping[str, str]) -> tuple[str, str]:
    """Names that tell the judges apart."""
    if len(judges) != 2:
        raise RecipeError(f"--judge: expected two judges, got {len(judges)}; name it twice")
    first, second = judges
    if first != second:
        return first, second
    if not any(name.startswith(("first.", "second.")) for name in given):
        raise RecipeError(
            f"--judge: expected two different judges, got {first} twice; set them apart by --first.key and "
            "--second.key"
        )
    return f"{first} (first)", f"{second} (second)"


def _read(path: Path, options: AgreeOptions, remarks: Remarks) -> list[_Row]:
    fields = list(read_rows(path, remarks))
    headers = read_headers(options.headers)
    named = partial(
        report_texts, fields, column=options.report_column, id_column=options.id_column, headers=headers
    )
    if options.question == "criticality":
        texts = named(remarks=remarks)
        rows = [_Row(study, parse_report(text, headers) if text else None) for study, text in texts]
    else:
        findings = named(section="findings", remarks=remarks)
        impressions = named(section="impression")
        rows = [
            _Row(study, (premise, conclusion) if premise and conclusion else None)
            for (study, premise), (_, conclusion) in zip(findings, impressions, strict=True)
        ]
    if all(row.question is None for row in rows):
        raise DataError(
            f"{path}: expected reports to ask about, found none; {len(rows):,} {WITHOUT[options.question]}"
        )
    return rows


def _text(question: Pair | Report | None) -> str:
    if question is None:
        return ""
    return question.text if isinstance(question, Report) else " ".join(question)


def _ask_both(
    rows: Sequence[_Row], options: AgreeOptions, given: Mapping[str, str], *, beside: Path, errors: Console
) -> list[list[bool]]:
    """Both judges' verdicts on the rows that have a question."""
    questions: list[Any] = [row.question for row in rows if row.question is not None]
    sections = judge_sections(given, known=SECTIONS)
    with ExitStack() as stack:
        judges = []  # both, before the first is asked: the second may not be there
        for name, own in zip(options.judge, SECTIONS[1:], strict=True):
            values = sections["judge"] | sections[own]
            knobs = judge_knobs(values, beside=beside, own=tuple(sections[own]), section=own)
            judges.append(stack.enter_context(opened(name, knobs, errors)))
        about = options.question
        return [
            ask(
                judge if about == "consistency" else judge.criticality,
                questions,
                what=judge.name,
                errors=errors,
            )
            for judge in judges
        ]


def _print(
    screen: Console, found: Agreement, names: tuple[str, str], options: AgreeOptions, *, skipped: int
) -> None:
    about = options.question
    if options.json:
        record = {"question": about, "judges": names, "skipped": skipped}
        print_json(screen, record | agreement_record(found))
        return
    title = f"{about.capitalize()} of {found.questions:,} reports"
    print_agreement(screen, found, title=title, judges=names, answers=ANSWERS[about])
    if skipped:
        screen.print(f"{skipped:,} reports {WITHOUT[about]} were not asked about")


def _write(
    path: Path, rows: Sequence[_Row], names: tuple[str, str], verdicts: Sequence[Sequence[bool]]
) -> None:
    """One row per report; blank where nothing was asked."""
    answers = zip(*verdicts, strict=True)
    with atomic_file(path) as file:
        write = csv_writer(file)
        write(["study_id", *names])
        for row in rows:
            said = ["", ""] if row.question is None else ["yes" if yes else "no" for yes in next(answers)]
            write([row.study_id, *said])
