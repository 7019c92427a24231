"""The tables behind docs/evidence.md follow from the scores that are kept beside them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

EVIDENCE = Path(__file__).parents[3] / "benchmarks" / "evidence"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kept", sorted(EVIDENCE.glob("*.jsonl.xz")), ids=lambda path: path.name)
def test_tables_follow_from_the_kept_scores(command: Callable, kept: Path, tmp_path: Path) -> None:
    name = kept.name.removesuffix(".jsonl.xz")
    definition = kept.with_name(f"{name}.toml")
    lines = [line[1:].strip(" \\") for line in definition.read_text().splitlines() if line.startswith("#   ")]
    asked = shlex.split(" ".join(lines).replace("DIR", str(tmp_path)))[2:]
    for option, value in (("--ablation", definition), ("--jobs", 0)):
        asked[asked.index(option) + 1] = str(value)
    command("ablate", *asked, "--pool", kept, "--out", "out")
    made, printed = (
        json.loads(path.read_text())
        for path in (tmp_path / "out" / "table.json", kept.with_name(f"{name}.json"))
    )
    assert made["seeds"] == printed["seeds"]
    for ours, theirs in zip(made["tables"], printed["tables"], strict=True):
        assert ours["claims"] == theirs["claims"]
        assert any(row["figures"] for row in ours["rows"])
        for row, other in zip(ours["rows"], theirs["rows"], strict=True):
            assert row["figures"] == other["figures"]
            assert row["differences"] == other["differences"]
