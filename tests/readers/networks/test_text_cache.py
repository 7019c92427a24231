"""The cache of readings: what comes out is what went in, the bounds hold, and no process can harm another."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow import sqlite
from radflow.errors import DataError, NotWritableError, RecipeError
from radflow.readers.networks.text_cache import FOLDER_VARIABLE, TextCache, open_cache, shared_cache
from radflow.readers.networks.text_store import FILE

texts = st.lists(st.text(st.characters(), max_size=30), max_size=12)  # lone surrogates too


def graph(text):
    """A reading in JSON that tells texts apart."""
    return {"text": text, "entities": {str(i): [ord(c), {}] for i, c in enumerate(text)}, "none": None}


def arrays(text):
    codes = np.array([ord(c) for c in text], dtype=np.float32)
    return {"vectors": np.stack([codes, -codes], axis=1), "classes": np.arange(len(text), dtype=np.int8)}


def fresh(read):
    return lambda some: [read(text) for text in some]


def unreadable(some):
    raise AssertionError(f"read again: {some}")


@given(texts, st.floats(0, 0.002), st.booleans())
def test_cached_equals_computed(texts, memory_mb, repeat):
    readings = TextCache(memory_mb=memory_mb)
    for _ in range(1 + repeat):
        assert readings.read("model", texts, fresh(graph)) == [graph(text) for text in texts]
        for got, text in zip(readings.read("arrays", texts, fresh(arrays)), texts, strict=True):
            for name, array in arrays(text).items():
                assert got[name].dtype == array.dtype
                np.testing.assert_array_equal(got[name], array)
        assert readings.nbytes <= memory_mb * 2**20


@settings(max_examples=25)
@given(texts)
def test_what_is_on_disk_equals_what_was_computed(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("cache")
    TextCache(folder=folder).read("model", texts, fresh(graph))
    assert TextCache(folder=folder).read("model", texts, unreadable) == [graph(text) for text in texts]


@given(texts)
def test_each_distinct_text_is_computed_once(texts):
    asked = []

    def compute(some):
        asked.extend(some)
        return some

    for cache in (TextCache(), TextCache(memory_mb=0)):
        asked.clear()
        assert cache.read("model", [*texts, *texts], compute) == [*texts, *texts]
        assert sorted(asked) == sorted(set(texts))


def test_models_do_not_share_readings():
    cache = TextCache()
    assert cache.read("one", ["edema"], lambda some: [1]) == [1]
    assert cache.read("two", ["edema"], lambda some: [2]) == [2]
    assert cache.read("on", ["eedema"], lambda some: [3]) == [3]


def test_the_least_recently_used_goes_first():
    cache = TextCache(memory_mb=900 / 2**20)
    for text in ("a", "b", "c", "a", "d"):
        cache.read("model", [text], lambda some: some)
    assert cache.nbytes <= 900
    assert cache.read("model", ["a"], unreadable) == ["a"]
    with pytest.raises(AssertionError, match="read again"):
        cache.read("model", ["b"], unreadable)


def test_a_reading_larger_than_the_memory_does_not_empty_it():
    cache = TextCache(memory_mb=900 / 2**20)
    cache.read("model", ["a"], lambda some: some)
    cache.read("model", ["large"], lambda some: ["x" * 1000])
    assert cache.read("model", ["a"], unreadable) == ["a"]


def test_callers_cannot_change_what_is_kept():
    cache = TextCache()
    for _ in range(2):
        (got,) = cache.read("model", ["ab"], fresh(arrays))
        assert got["vectors"][0, 0] == ord("a")
        got["vectors"][:] = 0
        (got,) = cache.read("graph", ["ab"], fresh(graph))
        assert got["entities"]["0"] == [97, {}]
        got["entities"].clear()


def test_a_reader_that_fails_leaves_nothing_behind():
    cache = TextCache()
    with pytest.raises(ZeroDivisionError):
        cache.read("model", ["a"], lambda some: [1 / 0])
    assert len(cache) == 0
    with pytest.raises(ValueError, match="zip"):
        cache.read("model", ["a", "b"], lambda some: ["only one"])
    assert cache.read("model", ["a"], lambda some: ["right"]) == ["right"]


def test_no_pickle_and_no_text_on_disk(tmp_path):
    TextCache(folder=tmp_path).read("model", ["the patient's words"], lambda some: [{"n": 1}])
    with pytest.raises(TypeError):
        TextCache(folder=tmp_path).read("model", ["x"], lambda some: [object()])
    content = (tmp_path / FILE).read_bytes()
    assert b"patient" not in content
    assert b'{"n": 1}' in content


def test_threads_share_a_cache(tmp_path):
    cache = TextCache(memory_mb=0.01, folder=tmp_path)
    words = [f"text {number}" for number in range(40)]
    wrong = []

    def work(seed):
        order = np.random.default_rng(seed).permutation(len(words))
        for start in range(0, len(order), 5):
            some = [words[number] for number in order[start : start + 5]]
            if cache.read("model", some, fresh(graph)) != [graph(text) for text in some]:
                wrong.append(some)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.disk_error is None


WRITER = """
import sys
from radflow.readers.networks.text_cache import TextCache

cache = TextCache(folder=sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    cache.read("model", [f"{number} {i}" for i in range(20)], lambda some: [[text] * 300 for text in some])
    print(number, flush=True)
sys.exit(cache.disk_error)
"""
"""A process that fills a folder with readings of "0 0", "0 1" and so on, saying how far it is."""


def written(numbers):
    texts = [f"{number} {i}" for number in numbers for i in range(20)]
    return texts, [[text] * 300 for text in texts]


def writer(folder, start, stop):
    command = [sys.executable, "-c", WRITER, folder, str(start), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_fill_one_folder(tmp_path):
    with writer(tmp_path, 0, 20) as one, writer(tmp_path, 10, 30) as other:
        one.communicate()
        other.communicate()
    assert (one.returncode, other.returncode) == (0, 0)
    texts, readings = written(range(30))
    assert TextCache(folder=tmp_path).read("model", texts, unreadable) == readings


def test_a_killed_process_leaves_whole_readings(tmp_path):
    done = -1
    for last in (7, 15, 20):
        with writer(tmp_path, done + 1, 10**9) as run:
            while done < last:
                done = int(run.stdout.readline())
            run.kill()
        assert run.returncode == -signal.SIGKILL
        texts, readings = written(range(done + 1))
        cache = TextCache(folder=tmp_path)
        assert cache.read("model", texts, unreadable) == readings
        assert cache.disk_error is None


def test_clearing_forgets_and_shrinks(tmp_path):
    cache = TextCache(folder=tmp_path)
    cache.read("model", ["a"], lambda some: ["x" * 200_000])
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
    assert (tmp_path / FILE).stat().st_size < 50_000
    assert cache.read("model", ["a"], lambda some: ["new"]) == ["new"]


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_never_gives_a_wrong_reading(tmp_path_factory, place, junk):
    folder = tmp_path_factory.mktemp("cache")
    words = [f"text {number}" for number in range(30)]
    TextCache(folder=folder).read("model", words, fresh(graph))
    content = bytearray((folder / FILE).read_bytes())
    place %= len(content) - len(junk)
    content[place : place + len(junk)] = junk
    (folder / FILE).write_bytes(content)
    try:
        cache = TextCache(folder=folder)
    except (DataError, NotWritableError) as error:
        assert FILE in str(error)
    else:
        assert cache.read("model", words, fresh(graph)) == [graph(text) for text in words]


def test_a_disk_that_fails_later_is_left_alone(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    cache = TextCache(folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.read("model", ["a", "b"], fresh(graph)) == [graph("a"), graph("b")]
        assert cache.read("model", ["a", "c"], fresh(graph)) == [graph("a"), graph("c")]
        with pytest.raises(NotWritableError, match="locked"):
            TextCache(folder=tmp_path)
        with pytest.raises(NotWritableError, match="locked"):
            cache.clear()
    assert "locked" in cache.disk_error
    assert len(caplog.records) == 1


def test_a_damaged_reading_is_read_again_and_mended(tmp_path):
    TextCache(folder=tmp_path).read("model", ["a"], lambda some: ["right"])
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("UPDATE readings SET value = ?", (b'J"wrong"',))
    assert TextCache(folder=tmp_path).read("model", ["a"], lambda some: ["right"]) == ["right"]
    assert TextCache(folder=tmp_path).read("model", ["a"], unreadable) == ["right"]


def test_the_shared_cache_is_one_and_takes_its_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "readings"))
    shared_cache.cache_clear()
    try:
        assert open_cache("shared") is shared_cache() is shared_cache()
        shared_cache().read("model", ["a"], lambda some: some)
        assert (tmp_path / "readings" / FILE).is_file()
    finally:
        shared_cache.cache_clear()


def test_the_option_cache():
    own = TextCache()
    assert open_cache(own) is own
    none = open_cache(None)
    none.read("model", ["a"], lambda some: some)
    assert len(none) == 0
    with pytest.raises(RecipeError, match="at least 0 MB"):
        TextCache(memory_mb=-1)


def test_json_readings_survive_as_they_are():
    value = {"a": [1, 2.5, -0.0, None, True, "\ud800é"], "": {}}
    (got,) = TextCache().read("model", ["x"], lambda some: [value])
    assert json.dumps(got) == json.dumps(value)
