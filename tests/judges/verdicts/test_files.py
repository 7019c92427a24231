import json
import stat
from dataclasses import replace

import pytest

from radflow.errors import DataError, MissingFileError, NotWritableError
from radflow.judges.llm.questions import Answer, Question
from radflow.judges.verdicts.files import Imported, export_verdicts, import_verdicts
from radflow.judges.verdicts.rows import Identity, stored_verdict
from radflow.judges.verdicts.store import VerdictStore

GPT = Identity(judge="openai", model="gpt-4o")


def verdicts(keep_texts, count=20):
    return [
        stored_verdict(
            GPT,
            Question(kind="consistency", texts=(f"Zyxwvutson {n}: effusion.", "Ödem.")),
            Answer(
                verdict=n % 3 > 0, said='{"answer": "yes"}', prompt_tokens=n, completion_tokens=2, calls=1
            ),
            keep_texts=keep_texts,
        )
        for n in range(count)
    ]


def filled(path, keep_texts=False, count=20):
    store = VerdictStore(path, keep_texts=keep_texts)
    store.add(verdicts(keep_texts, count))
    return store


@pytest.mark.parametrize("keep_texts", [False, True])
def test_what_was_exported_comes_back(tmp_path, keep_texts):
    export = tmp_path / "out" / "verdicts.jsonl"
    with filled(tmp_path / "one", keep_texts) as one, VerdictStore(tmp_path / "two", keep_texts=True) as two:
        assert export_verdicts(one, export) == 20
        assert import_verdicts(two, export) == Imported(added=20, known=0, contradicted=0)
        assert two.scan() == one.scan()
        again = tmp_path / "again.jsonl"
        export_verdicts(two, again)
    assert again.read_bytes() == export.read_bytes()
    assert (b"Zyxwvutson" in export.read_bytes()) is keep_texts
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    assert sorted(path.name for path in export.parent.iterdir()) == ["verdicts.jsonl"]


def test_texts_are_dropped_where_they_are_not_kept(tmp_path):
    export = tmp_path / "verdicts.jsonl"
    with filled(tmp_path / "one", keep_texts=True) as one, VerdictStore(tmp_path / "two") as two:
        one.put(replace(verdicts(True, 21)[20], said="Yes, Zyxwvutson 20."))
        export_verdicts(one, export)
        import_verdicts(two, export)
        found = two.scan()
    assert len(found) == 21
    assert all(verdict.texts is None and "Zyxwvutson" not in verdict.said for verdict in found)
    assert sum(verdict.said == "" for verdict in found) == 1


def test_what_is_here_stays(tmp_path):
    export = tmp_path / "verdicts.jsonl"
    with filled(tmp_path / "one") as one, VerdictStore(tmp_path / "two") as two:
        export_verdicts(one, export)
        first, second = verdicts(False, 2)
        two.put(first)
        two.put(replace(second, verdict=not second.verdict))
        assert import_verdicts(two, export) == Imported(added=18, known=1, contradicted=1)
        assert two.get([second.key])[second.key].verdict is not second.verdict
        assert two.used()[first.of][0] == 2


def test_a_bad_line_is_named_and_nothing_is_added(tmp_path):
    export = tmp_path / "verdicts.jsonl"
    with filled(tmp_path / "one") as one, VerdictStore(tmp_path / "two") as two:
        export_verdicts(one, export)
        lines = export.read_text().splitlines()
        flipped = json.loads(lines[0])
        flipped["verdict"] = not flipped["verdict"]
        for bad, message in (
            ("not JSON", r"verdicts\.jsonl:21: expected a JSON object"),
            ('{"key": "00"}', r"verdicts\.jsonl:21: expected the fields"),
            ("[" * 100_000, r"verdicts\.jsonl:21: expected a JSON object"),
            (json.dumps(flipped), r"verdicts\.jsonl:21: expected one answer per key"),
        ):
            export.write_text("\n".join([*lines, bad]) + "\n")
            with pytest.raises(DataError, match=message):
                import_verdicts(two, export)
            assert two.scan() == []


def test_a_missing_file_is_named(tmp_path):
    with VerdictStore(tmp_path / "store") as store, pytest.raises(MissingFileError, match="no such file"):
        import_verdicts(store, tmp_path / "nowhere.jsonl")


def test_a_place_that_cannot_be_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with filled(tmp_path / "store") as store, pytest.raises(NotWritableError, match="choose another place"):
        export_verdicts(store, tmp_path / "taken")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
