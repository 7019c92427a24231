"""``radflow label``: reports in, labels out, chunk by chunk; on request also the words behind each label."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from radflow import readers
from radflow.cli.languages import REMEDY, UNLESS, say_languages
from radflow.cli.options import LabelOptions
from radflow.cli.report_columns import report_texts
from radflow.cli.screens import say_remarks
from radflow.errors import DataError, RadflowError
from radflow.files import atomic_file, write_atomic
from radflow.modality import modality_of
from radflow.readers.chexpert import chexpert_labeler
from radflow.readers.evidence import explain_report
from radflow.reports.files import read_rows
from radflow.reports.headers import read_headers
from radflow.reports.language import LanguageCount
from radflow.tables import Remarks
from radflow.tables.writing import csv_writer
from radflow.viewer import render_labels
from radflow.viewer.evidence import evidence_view
from radflow.viewer.records import ReadReport

CHUNK = 256
ON_PAGE = 200
"""Reports on a page; the table has all of them."""
EVIDENCE = ("study_id", "name", "state", "decisive", "phrase", "start", "end", "cue", "rule", "source")

_STYLE = {
    "": "",
    "stated": "bold underline",
    "uncertain": "yellow underline",
    "denied": "green underline",
    "aside": "dim",
    "cue": "italic",
}


class _Read(NamedTuple):
    study_id: str
    text: str
    labels: Mapping[str, int | None]
    evidence: Sequence[Mapping[str, Any]]


_Sink = Callable[[_Read], object]
_WriteRow = Callable[[Sequence[Any]], Any]


def label_command(screen: Console, errors: Console, reports: Path, options: LabelOptions) -> None:
    """Label a file of reports and write what was asked for.

    Raises:
        RadflowError: options that exclude each other, a file that cannot be read, a place that cannot be
            written, most reports in another language than English. Then no file is left, whole or half.
    """
    name, read = _reading(options)
    remarks = Remarks()
    texts = report_texts(
        read_rows(reports, remarks),
        section=options.section,
        column=options.report_column,
        id_column=options.id_column,
        headers=read_headers(options.headers),
        remarks=remarks,
    )
    first = next(texts, None)
    if first is None:
        raise DataError(f"{reports}: expected reports, found none")
    count = empty = 0
    with ExitStack() as stack:
        page: list[ReadReport] = []
        sinks = _sinks(stack, screen, options, page)
        hidden = options.out is None or not errors.is_terminal  # the labels themselves are on the screen
        counter = TextColumn("{task.completed:,.0f} reports")
        progress = Progress(counter, console=errors, transient=True, disable=hidden)
        task = stack.enter_context(progress).add_task("label", total=None)
        texts = chain([first], texts)
        languages = LanguageCount()
        while chunk := list(islice(texts, CHUNK)):
            foreign = [languages.add(*one) and not options.any_language for one in chunk]
            if not count and not options.any_language:
                languages.expect_english(str(reports), remedy=REMEDY)  # before a line is written
            for one, is_foreign in zip(read(chunk), foreign, strict=True):
                count, empty = count + 1, empty + (not one.text)
                if is_foreign or not one.text:  # CheXpert's rule would call an empty report No Finding
                    one = one._replace(labels=dict.fromkeys(one.labels), evidence=())
                for sink in sinks:
                    sink(one)
            progress.update(task, completed=count)
        then = "read all the same" if options.any_language else f"their labels are blank, {UNLESS}"
        say_languages(errors, str(reports), languages, any_language=options.any_language, then=then)
        if options.page is not None:
            shown = f"{count:,} reports" if count <= ON_PAGE else f"The first {ON_PAGE} of {count:,} reports"
            note = f"{shown}, read by {name}."
            write_atomic(options.page, render_labels(page, title=reports.name, note=note))
    say_remarks(errors, remarks)
    if empty:
        errors.print(f"[yellow]warning[/]: {empty} of {count} texts are empty; their labels are blank")
    if written := [str(path) for path in (options.out, _evidence_file(options), options.page) if path]:
        errors.print(f"{count} reports read by {name}; wrote {', '.join(written)}")


def _reading(options: LabelOptions) -> tuple[str, Callable[[list[tuple[str, str]]], Iterator[_Read]]]:
    """The name of the reader, and what reads a chunk of (study id, text)."""
    default = modality_of(options.modality).labels.reader
    name = options.reader or default
    if options.lexicon is not None and name != "chexpert-rules":
        raise RadflowError(f"--lexicon adds phrases to chexpert-rules, but the reader is {name}; drop one.")
    if not (options.explain or options.page):
        label = readers.load(name) if options.lexicon is None else chexpert_labeler(options.lexicon)
        _check_labeler(name, label)
        return name, lambda chunk: _label(chunk, label)
    if name != default:
        raise RadflowError(
            f"--explain and --page need a reader by rules, which can say why; got {name}. Use {default}."
        )
    return name, lambda chunk: (
        _Read(study, text, **explain_report(text, options.modality, lexicon=options.lexicon))
        for study, text in chunk
    )


def _check_labeler(name: str, label: Callable[[Sequence[str]], Any]) -> None:
    """A reader of graphs, terms or vectors is no labeler; ask it about one report."""
    try:
        (row,) = label(["No edema."])
        states = set(row.values())
    except (AttributeError, TypeError, ValueError):
        states = {name}
    if not states <= {1, 0, -1, None}:
        raise RadflowError(
            f"Expected a reader that gives labels with states, such as chexpert-rules, carotid-labels or "
            f"chexbert:<folder>; {name} gives something else."
        )


def _label(
    chunk: Sequence[tuple[str, str]], label: Callable[[Sequence[str]], Sequence[Mapping[str, int | None]]]
) -> Iterator[_Read]:
    labels = label([text for _, text in chunk])
    return (_Read(study, text, row, ()) for (study, text), row in zip(chunk, labels, strict=True))


def _record(one: _Read) -> ReadReport:
    return TypeAdapter(ReadReport).validate_python(one._asdict())


def _sinks(stack: ExitStack, screen: Console, options: LabelOptions, page: list[ReadReport]) -> list[_Sink]:
    sinks: list[_Sink] = []
    if options.out is not None:
        sinks.append(_label_table(csv_writer(stack.enter_context(atomic_file(options.out)))))
        if options.explain:
            path = _evidence_file(options)
            assert path is not None
            sinks.append(_evidence_table(csv_writer(stack.enter_context(atomic_file(path)))))
    elif options.explain:
        sinks.append(lambda one: _print(screen, one))
    elif options.page is None:
        sinks.append(_label_table(csv_writer(sys.stdout)))
    if options.page is not None:
        sinks.append(lambda one: len(page) < ON_PAGE and page.append(_record(one)))
    return sinks


def _evidence_file(options: LabelOptions) -> Path | None:
    """``labels.evidence.csv`` beside ``labels.csv``."""
    out = options.out if options.explain else None
    return out and out.with_name(f"{out.stem}.evidence{out.suffix}")


def _label_table(write_row: _WriteRow) -> _Sink:
    header: list[str] = []

    def write(one: _Read) -> None:
        if not header:
            header.extend(one.labels)
            write_row(["study_id", *header])
        write_row([one.study_id, *("" if state is None else state for state in one.labels.values())])

    return write


def _evidence_table(write_row: _WriteRow) -> _Sink:
    write_row(EVIDENCE)

    def write(one: _Read) -> None:
        for found in one.evidence:
            start, end = found["spans"][0]
            cue = one.text[slice(*found["cue"])] if found["cue"] else ""
            state = "" if found["state"] is None else found["state"]
            place = (one.text[start:end], start, end)
            said = (found["name"], state, int(found["decisive"]), *place, cue, found["rule"], found["source"])
            write_row((one.study_id, *said))

    return write


def _print(screen: Console, one: _Read) -> None:
    """The report with its phrases set off, then what they say."""
    view = evidence_view(_record(one))
    screen.print(Text(one.study_id, style="bold cyan"))
    screen.print(Text.assemble(*((segment.text, _STYLE[segment.kind]) for segment in view.segments)))
    for row in view.rows:
        phrase = f"{row.phrase!r}: " if row.phrase else ""
        screen.print(
            Text.assemble(f"  {row.state:<10} ", (", ".join(row.names), "bold"), f"  {phrase}{row.rule}")
        )
    if not view.rows:
        screen.print(Text("  nothing was read in it", style="dim"))
    screen.print()
