"""Chats in the layouts that people fine-tune on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from radflow.tables import open_table

ASKED = {"role": "user", "content": "<image>\nDescribe."}
SAID = {"role": "assistant", "content": "Clear."}
PARTS = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Describe."}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED, SAID], "images": ["a.png"]},
        {"messages": [{"role": "system", "content": "Be brief."}, ASKED, SAID], "images": ["a.png"]},
        {
            "messages": [
                {"role": "user", "content": PARTS},
                {**SAID, "content": [{"type": "text", "text": "Clear."}]},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}, PARTS[1]]},
                SAID,
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "image"}, PARTS[1]]}, SAID], "images": ["a.png"]},
        {
            "image": ["a.png"],
            "conversations": [
                {"from": "human", "value": "<image>\nDescribe."},
                {"from": "gpt", "value": "Clear."},
            ],
        },
    ],
)
@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_every_layout_is_a_report_with_images(row: dict[str, Any], name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(
        json.dumps({"id": "s1", **row}) if name == "t.jsonl" else json.dumps([{"id": "s1", **row}])
    )
    table = open_table(path)
    [found] = table.rows()
    assert found.fields == {"id": "s1", "images": ["a.png"], "report": "Clear.", "prompt": "Describe."}
    assert set(table.columns) == set(found.fields)


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED],
        [ASKED, {"role": "assistant", "content": " "}],
        [ASKED, {"role": "assistant", "content": None}],
        [],
    ],
)
def test_a_chat_without_an_answer_has_an_empty_report(messages: list, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"messages": messages}))
    [row] = open_table(path).rows()
    assert (row.problem, row.fields["report"]) == (None, None)


def test_a_chat_with_two_answers_is_a_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps({"messages": [ASKED, SAID] * count}) for count in (1, 2)))
    good, bad = open_table(path).rows()
    assert good.problem is None
    assert bad.problem == (
        f"broken row: {path}:2: expected a chat with one message of the assistant, the report, got 2"
    )


def test_messages_that_are_no_chat_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,messages\n1,hello\n")
    [row] = open_table(path).rows()
    assert row.fields == {"id": "1", "messages": "hello"}
