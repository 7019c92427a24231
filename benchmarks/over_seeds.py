"""RadFlow minus SFT and the controls, over seeds that ran at different times: Student's t interval.

    python benchmarks/over_seeds.py benchmarks/iu_films_fresh_seeds.json benchmarks/iu_films_seed_35.json

Reads what ``rft_diagnosis.py`` printed. Its bootstrap draws patients too, and needs all runs at hand; here a
seed is one number. Prints a line per control and metric: the mean, its 95 % interval, and each seed's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t

METRICS = ("micro_f1", "macro_f1", "label_f1", "paper_reward", "bleu2")
CONTROLS = ("sft", "sft-more", "sft-continued")


def main() -> None:
    seeds = {}
    for name in sys.argv[1:]:
        seeds |= json.loads(Path(name).read_text())["seeds"]
    for control in CONTROLS:
        having = [seed for seed, said in seeds.items() if control in said["systems"]]
        for metric in METRICS:
            of = [seeds[seed]["systems"] for seed in having]
            gaps = np.array([systems["radflow"][metric] - systems[control][metric] for systems in of])
            reach = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
            each = ", ".join(f"{seed}: {gap:+.3f}" for seed, gap in zip(having, gaps, strict=True))
            print(
                f"radflow - {control:14}{metric:14}{gaps.mean():+.3f} [{gaps.mean() - reach:+.3f}, "
                f"{gaps.mean() + reach:+.3f}]  {each}"
            )


if __name__ == "__main__":
    main()
