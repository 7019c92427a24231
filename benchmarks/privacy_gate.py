"""What the privacy gate finds in real reports that hold no identifiers; prints one JSON object.

    python benchmarks/privacy_gate.py

Open-i was redacted by its publisher, so what is found there is a false alarm: in the sentences as they are,
in capitals, and with Each Word Capitalised. Its test split is left out. It says nothing of recall: there the
planted identifiers of tests/judges/test_identifiers.py speak, which come from the hand that wrote the
patterns. Needs torchxrayvision's files (requirements-data.txt).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from radflow.judges.privacy.identifiers import find_identifiers
from radflow.studies.sources.openi import open_i_reports, r2gen_split

WRITINGS: dict[str, Callable[[str], str]] = {
    "as_written": str,
    "in_capitals": str.upper,
    "each_word_capitalised": str.title,
}


def main() -> None:
    splits = r2gen_split()
    reports = [
        " ".join(filter(None, (report.findings, report.impression, report.indication, report.comparison)))
        for report in open_i_reports()
        if splits.get(report.number) != "test"
    ]
    sentences = [sentence for text in reports for sentence in re.split(r"(?<=[.?!])\s+", text) if sentence]
    flagged = {
        name: sum(bool(find_identifiers(write(sentence))) for sentence in sentences)
        for name, write in WRITINGS.items()
    }
    begun = time.process_time()
    for text in reports:
        find_identifiers(text)
    told = {
        "false_alarms": flagged,
        "sentences": len(sentences),
        "reports": len(reports),
        "reports_a_cpu_second": round(len(reports) / (time.process_time() - begun)),
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
