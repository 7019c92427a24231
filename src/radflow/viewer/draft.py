"""The page of ``radflow draft``: pictures, the report with its uncertain words, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from radflow.evaluation.notation import number
from radflow.reports.draft import NOTICE, Draft, passages_of, stretches
from radflow.viewer.pictures import embed
from radflow.viewer.templating import asset, csp_hash, environment

EDGE = 900
"""Longest edge of a picture on the page in pixels, for a study of one or two; more share the space."""
LEAST_EDGE = 360


def render_draft(draft: Draft, pictures: Sequence[Path] = (), views: Sequence[str] = ()) -> str:
    """Return a self-contained page, which loads nothing and runs no script.

    Args:
        draft: what to show.
        pictures: of the study, PNG or JPEG. Their names do not go into the page.
        views: one word per picture, or none at all.
    """
    style = asset("page.css") + asset("draft.css")
    edge = max(LEAST_EDGE, EDGE if len(pictures) <= 2 else 2 * EDGE // len(pictures))
    return (
        environment()
        .get_template("draft.jinja")
        .render(
            style=style,
            style_hash=csp_hash(style),
            notice=NOTICE,
            draft=draft,
            sections=[_section(draft, passage) for passage in passages_of(draft.report)],
            pictures=[
                (_caption(views, index, len(pictures)), embed(path, edge=edge))
                for index, path in enumerate(pictures)
            ],
            facts=_facts(draft),
        )
    )


def _section(draft: Draft, passage: Any) -> Mapping[str, Any]:
    pieces = [
        (text, "" if word is None else number(word.probability, 2))
        for text, word in stretches(draft, passage)
    ]
    return {"title": passage.title, "pieces": pieces}


def _caption(views: Sequence[str], index: int, count: int) -> str:
    if len(views) == count:
        return views[index]
    return f"image {index + 1} of {count}" if count > 1 else "image"


def _facts(draft: Draft) -> list[tuple[str, str]]:
    return [
        ("Study", draft.study_id),
        ("Written by", draft.model),
        ("Written at", f"{datetime.fromisoformat(draft.created):%d %B %Y, %H:%M} UTC"),
        ("Words marked", f"{len(draft.uncertain)} of {len(draft.words)}"),
    ]
