"""Read reports by rules: CheXpert labels and the words they rest on, and why a report is critical (Eq. 9).

    python examples/04_label_reports.py

States: 1 stated, 0 denied, -1 uncertain, None not mentioned.
"""

from radflow import readers
from radflow.readers.criticality import why
from radflow.readers.explain import explain
from radflow.reports import parse_report

REPORTS = [
    "Findings: Heart size is normal. No effusion or pneumothorax. Impression: No acute disease.",
    "Findings: Left basilar opacity. Impression: Atelectasis versus pneumonia.",
    "Findings: Small right effusion, unchanged. Pacemaker in place. Impression: Right pleural effusion.",
]


def main() -> None:
    labels = readers.load("chexpert-rules")(REPORTS)
    for text, row in zip(REPORTS, labels, strict=True):
        print(text)
        for word, state in (("stated", 1), ("uncertain", -1), ("denied", 0)):
            if names := [name for name, value in row.items() if value == state]:
                print(f"    {word:10} {', '.join(names)}")
        for evidence in explain(text).evidence:
            print(f"        {text[slice(*evidence.phrase)]!r}: {evidence.observation}, {evidence.rule}")
        reasons = [reason.phrase for reason in why(parse_report(text))]
        print(f"    critical because of {', '.join(reasons)}" if reasons else "    nothing critical")


if __name__ == "__main__":
    main()
