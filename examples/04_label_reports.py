"""Read reports by rules: CheXpert labels with their states, and whether a report is critical (Eq. 9).

    python examples/04_label_reports.py

States: 1 stated, 0 denied, -1 uncertain, None not mentioned.
"""

from radflow import readers
from radflow.reports import parse_report

REPORTS = [
    "Findings: Heart size is normal. No effusion or pneumothorax. Impression: No acute disease.",
    "Findings: Left basilar opacity. Impression: Atelectasis versus pneumonia.",
    "Findings: Small right effusion, unchanged. Pacemaker in place. Impression: Right pleural effusion.",
]


def main() -> None:
    label = readers.load("chexpert-rules")
    is_critical = readers.load("criticality-rules")
    critical = is_critical([parse_report(text) for text in REPORTS])
    for text, labels, flag in zip(REPORTS, label(REPORTS), critical, strict=True):
        print(text)
        for state, word in ((1, "stated"), (-1, "uncertain"), (0, "denied")):
            names = [name for name, value in labels.items() if value == state]
            if names:
                print(f"    {word:10} {', '.join(names)}")
        print(f"    {'critical' if flag else 'nothing critical'}")


if __name__ == "__main__":
    main()
