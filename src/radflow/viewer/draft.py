"""The page of ``radflow draft``: pictures, the report with its uncertain words, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from radflow.evaluation.notation import number
from radflow.reports.draft import NOTICE, Draft, Passage, passages_of, stretches
from radflow.viewer.pictures import caption, embed
from radflow.viewer.templating import render

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
    edge = max(LEAST_EDGE, EDGE if len(pictures) <= 2 else 2 * EDGE // len(pictures))
    return render(
        "draft.jinja",
        styles=("page.css", "draft.css"),
        notice=NOTICE,
        draft=draft,
        sections=[(passage.title, _pieces(draft, passage)) for passage in passages_of(draft.report)],
        pictures=[
            (caption(views, index, len(pictures)), embed(path, edge=edge))
            for index, path in enumerate(pictures)
        ],
        facts=[
            ("Study", draft.study_id),
            ("Written by", draft.model),
            ("Written at", f"{datetime.fromisoformat(draft.created):%d %B %Y, %H:%M} UTC"),
            ("Words marked", f"{len(draft.uncertain)} of {len(draft.words)}"),
        ],
    )


def _pieces(draft: Draft, passage: Passage) -> list[tuple[str, str]]:
    """Stretches of a passage, each with its probability where it is marked."""
    return [
        (text, "" if word is None else number(word.probability, 2))
        for text, word in stretches(draft, passage)
    ]
