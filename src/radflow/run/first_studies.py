"""The first studies of a recipe's data set, and how many there are: what a dry run reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from radflow.config import Recipe
from radflow.run.studies import adapter_knobs, prepare_source
from radflow.studies import Study
from radflow.studies.manifest import Manifest, Rejected, read_manifest, write_manifest
from radflow.studies.places import allowed
from radflow.studies.stream import ADAPTERS, open_source, options_of

READ = 64
"""Studies that are read."""


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
    if data.source in ADAPTERS:
        return _of_adapter(recipe, folder)
    options: dict[str, Any] = {"seed": recipe.seed, "image_size": data.image_size, "workers": 1}
    at_most = min(READ, data.count)
    options |= {"images": data.images, "limit": at_most} if data.source == "open-i" else {"count": at_most}
    account = prepare_source(data.source, folder / "drawn", **options)
    over = sum(n for reason, n in account.rejected.items() if reason.startswith("over the limit"))
    total = min(data.count, account.kept + over) if data.source == "open-i" else data.count
    manifest = read_manifest(account.manifest)
    return manifest, _scaled(manifest.studies, total)


def _of_adapter(recipe: Recipe, folder: Path) -> tuple[Manifest, Counter[str]]:
    assert recipe.data.root is not None
    knobs = adapter_knobs(recipe)
    if "store" in options_of(recipe.data.source):
        knobs["store"] = folder / "images"  # of pictures that a table holds itself
    source = open_source(recipe.data.source, recipe.data.root, **knobs)
    items = list(islice(source.studies, READ))
    path = folder / "first.jsonl"
    write_manifest(path, (item for item in items if isinstance(item, Study)))
    read = read_manifest(path, max_bad_share=1.0)
    left_out = (item for item in items if isinstance(item, Rejected))
    usable = len(read.studies) / max(1, len(items))
    total = len(items) if len(items) < READ else source.total or 0
    return replace(read, rejected=(*read.rejected, *left_out)), _scaled(read.studies, round(total * usable))


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
