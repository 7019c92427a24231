"""One owner at a time, on this machine and on others; a dead one loses its claim."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from radflow.ablation import claims
from radflow.ablation.claims import claim, is_free

_OWNER = """
import sys
from pathlib import Path
from radflow.ablation.claims import claim
held = claim(Path(sys.argv[1]), "cell", lost=lambda: print("lost", flush=True))
print("held" if held else "taken", flush=True)
sys.stdin.read()
"""


def never() -> None:
    raise AssertionError("the claim was lost")


def test_a_claim_is_one_owners_until_it_is_released(tmp_path: Path) -> None:
    with claim(tmp_path, "cell", lost=never) as held:
        assert held is not None
        assert claim(tmp_path, "cell", lost=never) is None
        assert not is_free(tmp_path, "cell")
        assert is_free(tmp_path, "other")
    assert is_free(tmp_path, "cell")
    with claim(tmp_path, "cell", lost=never) as held:
        assert held is not None
    assert list(tmp_path.iterdir()) == []


def test_the_claim_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "held\n"
        assert not is_free(tmp_path, "cell")
        owner.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["cell.1"]
    with claim(tmp_path, "cell", lost=never) as held:
        assert held is not None
        assert not is_free(tmp_path, "cell")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.1", "cell.2"]
    assert list(tmp_path.iterdir()) == []


def test_a_dead_machine_loses_its_claim_after_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cell.3").write_text("another machine")
    assert claim(tmp_path, "cell", lost=never) is None
    old = time.time() - claims.LEASE - 1
    os.utime(tmp_path / "cell.3", (old, old))
    with claim(tmp_path, "cell", lost=never) as held:
        assert held is not None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.3", "cell.4"]
        assert claim(tmp_path, "cell", lost=never) is None


def test_an_owner_that_stood_still_hears_that_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.01)
    heard: list[str] = []
    with claim(tmp_path, "cell", lost=lambda: heard.append("lost")) as held:
        assert held is not None
        (tmp_path / "cell.2").write_text("another machine")
        for _ in range(500):
            if heard:
                break
            time.sleep(0.01)
    assert heard
