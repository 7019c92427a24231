"""The first studies of a recipe's data set, and how many there are: what a dry run reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from radflow.config import Recipe
from radflow.run.studies import is_wanted, source_options
from radflow.studies import Study
from radflow.studies.manifest import Manifest, read_manifest, write_manifest
from radflow.studies.places import allowed
from radflow.studies.sources import open_source, options_of
from radflow.studies.study import Rejected

READ = 64
"""Studies that are read."""
_LOOKED_AT = 16  # times as many reports, where many are left out


def first_studies(recipe: Recipe, folder: Path) -> tuple[Manifest, Counter[str]]:
    """Read the first studies and look at their pictures; draw them where the data set is drawn.

    Args:
        recipe: its section ``data``.
        folder: where drawings and a manifest may be written.

    Returns:
        The studies with what was set aside, and how many there are in all by split: counted in a manifest,
        elsewhere the first ones scaled to what the data set says it has; empty where it does not say.

    Raises:
        RadflowError: the data set cannot be opened.
    """
    data = recipe.data
    if data.source == "manifest":
        assert data.manifest is not None
        allow = allowed(data.manifest, (data.root, data.images), knob="data.root")
        read = read_manifest(data.manifest, max_bad_share=1.0, first=READ, allow=allow)
        return read, _counted(data.manifest)
    options = source_options(recipe)
    count = options.pop("count", None)  # of all; the first of them are read
    if "store" in options_of(data.source):
        options["store"] = folder / "drawn" / "images"  # of pictures that a data set draws or holds itself
    source = open_source(data.source, data.root, **options)
    studies: list[Study] = []
    left_out: list[Rejected] = []
    for item in source.studies:
        if isinstance(item, Study):
            studies.append(item)
            if source.draw is not None:
                source.draw(item)
        else:
            left_out.append(item)
        if len(studies) == READ or len(studies) + len(left_out) == READ * _LOOKED_AT:
            break
    path = folder / "first.jsonl"
    write_manifest(path, studies)
    read = read_manifest(path, max_bad_share=1.0)
    bad = (item for item in left_out if is_wanted(item.reason))
    seen = len(studies) + len(left_out)
    whole = len(studies) < READ and seen < READ * _LOOKED_AT
    total = len(read.studies) if whole else round((source.total or 0) * len(read.studies) / max(1, seen))
    if count is not None:
        total = min(total, count)
    return replace(read, rejected=(*read.rejected, *bad)), _scaled(read.studies, total)


def _counted(path: Path) -> Counter[str]:
    """Studies of a manifest by split; a line that is no study counts nowhere."""
    counts: Counter[str] = Counter()
    with path.open("rb") as file:
        for line in file:
            try:
                counts[json.loads(line)["split"]] += 1
            except (ValueError, KeyError, TypeError):
                continue
    return counts


def _scaled(studies: Sequence[Study], total: int) -> Counter[str]:
    """The splits of some studies, scaled to all of them."""
    splits = Counter(study.split for study in studies)
    return Counter({name: round(total * n / len(studies)) for name, n in splits.items()} if total else {})
