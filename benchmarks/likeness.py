"""How often a model's `training.json` calls a picture foreign: held-out ones of its own kind, and others.

    python benchmarks/likeness.py --films IU_XRAY_FOLDER --sonograms CAROTID_FOLDER

Prints one JSON object: the share of each set that a description of 256 films, or phantoms, does not cover.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

from radflow.studies.preparing.engine import prepare_source
from radflow.studies.training_facts import likeness


def pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--sonograms", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepare_source("carotid-phantom", None, Path(scratch, "studies.jsonl"), count=600)
        sets = {
            "films": pictures(arguments.films),
            "sonograms": pictures(arguments.sonograms),
            "phantoms": pictures(Path(scratch)),
        }
        found = {}
        for kind in ("films", "phantoms"):
            shares: dict[str, list[float]] = {name: [] for name in sets}
            for seed in range(arguments.seeds):
                mixed = random.Random(seed).sample(sets[kind], len(sets[kind]))
                known = likeness(mixed[:256])
                assert known is not None
                for name, paths in sets.items():
                    some = mixed[256:600] if name == kind else paths[:: max(1, len(paths) // 300)]
                    shares[name].append(sum(not known.covers(path) for path in some) / len(some))
            found[kind] = {name: [round(s, 4) for s in values] for name, values in shares.items()}
    print(json.dumps({"not covered, by what the description was made from": found}))


if __name__ == "__main__":
    main()
