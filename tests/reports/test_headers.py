"""Names of sections of one's own, and what is wrong with a file of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from radflow.errors import DataError, MissingFileError
from radflow.reports import parse_report
from radflow.reports.headers import read_headers


def written(folder: Path, text: str) -> Path:
    path = folder / "headers.toml"
    path.write_text(text, "utf-8")
    return path


def test_names_of_a_users_file_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    path = written(tmp_path, "[Polish]\nfindings = ['opis']\nimpression = ['wnioski', 'Końcowe wnioski']\n")
    headers = read_headers(path)
    for text in (
        "Opis: Czysto.\nWnioski: Norma.",
        "OPIS: Czysto.\nKONCOWE WNIOSKI: Norma.",
        "Findings: Czysto.\nWnioski: Norma.",
    ):
        report = parse_report(text, headers)
        assert (report.findings, report.impression) == ("Czysto.", "Norma.")
        assert not parse_report(text).sectioned


def test_a_users_name_wins_over_a_shipped_one(tmp_path: Path) -> None:
    headers = read_headers(written(tmp_path, "[ours]\ncontext = ['conclusion']\n"))
    text = "CONCLUSION: Of the last visit.\nFINDINGS: Clear.\nIMPRESSION: Normal."
    assert parse_report(text).findings is None
    assert parse_report(text, headers).impression == "Normal."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ours", "expected names of sections as TOML"),
        ("findings = ['a']", "expected a table of lists"),
        ("[ours]\nfinding = ['a']", "Did you mean 'findings'"),
        ("[ours]\nfindings = 'a'", "expected a list of names"),
        ("[ours]\nfindings = ['a:']", "without its colon"),
        ("[ours]\nfindings = [1]", "got 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"headers\.toml") as error:
        read_headers(written(tmp_path, text))
    assert message in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.toml"):
        read_headers(tmp_path / "none.toml")
