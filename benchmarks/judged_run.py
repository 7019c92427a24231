"""RFT of `carotid-easy` with the rule judge, and with that judge behind an endpoint; prints a JSON object.

    python benchmarks/judged_run.py [--out runs/judged] [-- --rft.steps 6 ...]

The run up to Target Exploration is made once and copied. Then RFT runs three times: asking the rules; asking
`examples/07_judge_server.py` as `openai:rules`, on loopback; and again from the verdict store alone, with
nobody to ask. Weights are compared by SHA-256; `questions` were asked about `reports` that were to be judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parents[1] / "examples" / "07_judge_server.py"


def radflow(*arguments: object) -> float:
    """Run a command; its seconds."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "radflow", *map(str, arguments)], check=True, stdout=sys.stderr)
    return time.perf_counter() - begun


def digest(run: Path) -> str:
    return hashlib.sha256((run / "rft" / "model" / "model.safetensors").read_bytes()).hexdigest()


def said(run: Path, pattern: str) -> list[int]:
    """The numbers in the last line of the log that matches."""
    found = re.findall(pattern, (run / "run.log").read_text())
    return [int(number.replace(",", "")) for number in found[-1]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/judged"))
    parser.add_argument("knobs", nargs="*", help="of the recipe, after --")
    options = parser.parse_args()
    runs = {name: options.out / name for name in ("rules", "served", "stored")}
    for stage in ("sft", "explore"):
        radflow(stage, "carotid-easy", "--out", runs["rules"], *options.knobs)
    for name in ("served", "stored"):
        shutil.rmtree(runs[name], ignore_errors=True)
        shutil.copytree(runs["rules"], runs[name])
        for left in ("rft", "stages/rft.json", "stages/rft.started.json"):
            path = runs[name] / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def rft(name: str, *judge: object) -> float:
        return radflow("rft", "carotid-easy", "--out", runs[name], *options.knobs, *judge)

    seconds = {"rules": rft("rules")}
    command = [sys.executable, SERVER, "0", "carotid-us"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        asking = ("--reward.judge", "openai:rules", "--judge.base_url", url)
        seconds["served"] = rft("served", *asking)
        server.terminate()
    shutil.copy(runs["served"] / "verdicts.sqlite3", runs["stored"])
    seconds["stored"] = rft("stored", *asking, "--judge.offline", "true")

    asked, calls, hits = said(
        runs["served"], r"([\d,]+) questions asked in ([\d,]+) calls.*?; ([\d,]+) answered from the store"
    )
    digests = {name: digest(run) for name, run in runs.items()}
    told = {
        "same_weights": len(set(digests.values())) == 1,
        "questions": asked,
        "calls": calls,
        "from_the_store": hits,
        "reports": asked + hits,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "sha256": digests,
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
