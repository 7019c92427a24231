"""What a preparation says of what it found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from radflow.studies.preparing.account import PrepareAccount


def test_the_account_reads_as_text() -> None:
    account = PrepareAccount(
        source="open-i",
        manifest=Path("out/studies.jsonl"),
        found=3955,
        kept=3419,
        rejected=Counter({"report with neither section": 28, "report with impression only": 502}),
        sections=Counter({"findings and impression": 3419}),
        splits=Counter({"train": 2400, "test": 1019}),
        patients_in_two_splits=0,
        drawn=3419,
        real=0,
        unsupported=Counter({"Kyphosis": 2, "Arthritis": 2, "No Indexing": 6}),
        notes=("drawn",),
    )
    assert account.lines(most_common=2) == [
        "open-i: 3,419 of 3,955 studies -> out/studies.jsonl",
        "  left out: 502 (report with impression only)",
        "  left out: 28 (report with neither section)",
        "  reports with findings and impression: 3,419",
        "  split: train 2,400, validate 0, test 1,019; patients in two splits: 0",
        "  images: 0 real, 3,419 drawn",
        "  tags the drawings do not show: 10, of 3 kinds",
        "        6  No Indexing",
        "        2  Arthritis",
        "    and 1 more kinds",
        "  note: drawn",
    ]
