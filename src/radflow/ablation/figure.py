"""The paper's Figure 3 for any rows: a study, the reference, and what each row's system wrote, marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from radflow.ablation.plan import Plan, Task
from radflow.errors import DataError, did_you_mean
from radflow.evaluation.marks import compare_reports
from radflow.files import read_jsonl
from radflow.studies import Study
from radflow.studies.manifest import read_manifest
from radflow.viewer.cases import blocks, missed_words
from radflow.viewer.charts.side_by_side import Column, side_by_side
from radflow.viewer.pictures import caption, embed
from radflow.viewer.records import Mark

_SHOWN = 5  # studies that a message names
_MARKS = TypeAdapter(tuple[Mark, ...])


def draw_figures(
    plan: Plan, failures: Mapping[str, str], studies: Sequence[str], rows: Sequence[str] | None = None
) -> dict[str, str]:
    """Study to its figure as SVG, from the runs of the first seed.

    Args:
        plan: of an ablation whose cells have run.
        failures: why a task has no result, by its key.
        studies: test studies of any of its recipes.
        rows: names or titles of the rows to show; all that have reports when not given.

    Raises:
        DataError: no such row, a row without reports, or no such test study.
    """
    shown = _shown(plan, failures, rows)
    known = [
        {row["study_id"] for row in read_jsonl(_reports(*next(iter(of.values()))))} for of in shown if of
    ]
    figures = {}
    for study in studies:
        place = next((at for at, ids in enumerate(known) if study in ids), None)
        if place is None:
            every = sorted({name for ids in known for name in ids})
            raise DataError(
                f"--figure: expected test studies of these runs, such as {', '.join(every[:_SHOWN])}; got "
                f"{study!r}.{did_you_mean(study, every)}"
            )
        figures[study] = _figure(study, shown[place])
    return figures


def _shown(
    plan: Plan, failures: Mapping[str, str], rows: Sequence[str] | None
) -> list[dict[str, tuple[Task, str]]]:
    """Of each recipe, the rows to show: title to the run and whose reports; no reports twice."""
    titles = [row.title for row in plan.definition.rows]
    for name in rows or ():
        if name not in {*titles, *(row.name for row in plan.definition.rows)}:
            raise DataError(
                f"--figure-rows: expected rows among {', '.join(titles)}; got {name!r}."
                f"{did_you_mean(name, titles)}"
            )
    found = []
    for place in range(len(plan.sources)):
        of: dict[str, tuple[Task, str]] = {}
        for row in plan.definition.rows:
            task = plan.cells.get((place, row.title, plan.seeds[0]))
            asked = rows is None or row.title in rows or row.name in rows
            if not asked or task is None or task.key in failures or (task, row.system) in of.values():
                continue
            if _reports(task, row.system).is_file():
                of[row.title] = (task, row.system)
        found.append(of)
    if not any(found):
        raise DataError("--figure: expected a row with reports, got none; the table says why")
    return found


def _figure(study_id: str, rows: Mapping[str, tuple[Task, str]]) -> str:
    task, _ = next(iter(rows.values()))
    study = _study(task.folder, study_id)
    truth = study.reference.canonical
    texts = {title: _text(_reports(*of), study_id) for title, of in rows.items()}
    compared = {title: compare_reports(text, truth, study.modality) for title, text in texts.items()}
    missed = {
        str(at): _MARKS.validate_python(found["missed"]) for at, found in enumerate(compared.values(), 1)
    }
    columns = [Column(heading="Reference", blocks=blocks(truth, missed_words(missed)))]
    for at, (title, text) in enumerate(texts.items(), 1):
        marks = _MARKS.validate_python(compared[title]["marks"])
        columns.append(Column(heading=f"({at}) {title}", blocks=blocks(text, marks)))
    count = len(study.images)
    drawn = ", drawn" if study.drawn else ""
    pictures = [
        (f"{caption(study.views, at, count)}{drawn}", embed(path)) for at, path in enumerate(study.images)
    ]
    return side_by_side(f"Study {study_id}: reference and {', '.join(texts)}", pictures, columns)


def _study(run: Path, study_id: str) -> Study:
    manifest = read_manifest(run / "prepare" / "studies.jsonl", check_images=False)
    return next(study for study in manifest.studies if study.study_id == study_id)


def _reports(task: Task, system: str) -> Path:
    return task.folder / "generate" / f"{system}.jsonl"


def _text(path: Path, study_id: str) -> str:
    return next(row["text"] for row in read_jsonl(path) if row["study_id"] == study_id)
