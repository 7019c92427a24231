import os
import subprocess
import sys

import pytest

from radflow.judges.verdicts import leases
from radflow.judges.verdicts.leases import is_dead, new_owner

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="death is seen on Linux only")


def owner_of_a_child(end):
    code = "from radflow.judges.verdicts.leases import new_owner; print(new_owner(), flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        owner = child.stdout.readline().strip()
        alive = is_dead(owner)
        child.kill()
        end(child)
        return alive, is_dead(owner)


def wait_and_leave(child):
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def test_every_asker_has_its_own_name():
    assert new_owner() != new_owner()


@on_linux
def test_a_killed_process_is_dead():
    assert owner_of_a_child(lambda child: child.wait()) == (False, True)


@on_linux
def test_a_killed_process_that_nobody_has_reaped_is_dead():
    assert owner_of_a_child(wait_and_leave) == (False, True)


@on_linux
def test_a_process_number_that_was_given_out_again_is_not_the_same_asker():
    place, pid, _, token = new_owner().split(" ")
    assert is_dead(f"{place} {pid} 1 {token}")


@pytest.mark.parametrize("name", ["", "nobody", "a b c d", "place 99999999999 1 token"])
def test_a_damaged_name_is_nobody_s(name):
    assert is_dead(name)


def test_nothing_is_known_of_another_machine():
    _, _, started, token = new_owner().split(" ")
    assert not is_dead(f"elsewhere 999999999 {started} {token}")


def test_nothing_is_known_without_proc(monkeypatch):
    class Nowhere:
        def __init__(self, path):
            pass

        def read_text(self):
            raise FileNotFoundError

        def exists(self):
            return False

    leases._place.cache_clear()
    monkeypatch.setattr(leases, "Path", Nowhere)
    owner = new_owner()
    assert not is_dead(owner)
    leases._place.cache_clear()
