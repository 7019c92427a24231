"""Score generated reports against their references, one number per pair.

    python examples/01_score_reports.py

The second report differs from its reference by one word. Word overlap hardly notices; what reads the medical
content does. ``(rules)`` beside a name: the number rests on radflow's rule readers, not on a network.
"""

from radflow.metrics import METRICS, score

REFERENCES = [
    "Findings: The heart is mildly enlarged. The lungs are clear. Impression: Mild cardiomegaly.",
    "Findings: There is no pleural effusion. The lungs are clear. Impression: No pleural effusion.",
    "Findings: Opacity in the left lower lobe. Impression: Left lower lobe pneumonia.",
]
GENERATED = [
    "Findings: The cardiac silhouette is slightly enlarged. Clear lungs. Impression: Mild cardiomegaly.",
    "Findings: There is a pleural effusion. The lungs are clear. Impression: A pleural effusion.",
    "Findings: The lungs are clear. Impression: No acute disease.",
]
WHAT = ("same findings, other words", "negation lost", "pneumonia missed")
NAMES = ("bleu2", "rouge_l", "radgraph_f1", "chexpert_f1")


def main() -> None:
    scores = score(GENERATED, REFERENCES, NAMES)
    print(f"{'':28}" + "".join(f"{METRICS[name].label:>21}" for name in NAMES))
    for i, what in enumerate(WHAT):
        print(f"{what:28}" + "".join(f"{scores[name][i]:21.2f}" for name in NAMES))


if __name__ == "__main__":
    main()
