"""ReXrank's contract: run a system of other people in its own environment, and check what it wrote.

    COMMAND --input_json_file F --save_json_file G --img_root_dir D

``F`` is a JSON object, study id to record: ``image_path`` (paths below D), ``key_image_path``, ``context``,
``frontal_lateral``, ``split``; ``report``, ``section_findings`` and ``section_impression`` are there and
empty, so that a system cannot copy what it is scored against. It writes F's records with
``model_prediction`` to ``G``. None of its code is imported here.

Source: https://github.com/rajpurkarlab/ReXrank (inference scripts of its systems).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError, RadflowError
from radflow.files import atomic_file
from radflow.studies import Study

PREDICTION = "model_prediction"
_SHOWN = 3  # ids of studies in a message
_TAIL = 4_000  # characters of what a system printed, that are searched for its last line


@dataclass(frozen=True, kw_only=True)
class Contract:
    """How a system is called.

    Attributes:
        command: what is run, as a shell would cut it into words; no shell runs.
        timeout: seconds after which it is ended, with all that it started; ``None``: never.
        folder: where it runs; the current folder when not given.
    """

    command: str
    timeout: float | None = None
    folder: Path | None = None


def run_contract(contract: Contract, studies: Sequence[Study], out: Path, log: Path) -> int:
    """Let a system write reports for studies; keep them as a ReXrank file with the references.

    Args:
        contract: how it is called.
        studies: in the order of the file.
        out: gets one record per study, as `radflow score` reads it.
        log: gets all that the system prints.

    Returns:
        how many of the reports are empty.

    Raises:
        MissingFileError: the program is not there.
        DataError: there are no studies, or what it wrote is not as expected; missing studies are named.
        RadflowError: it failed, or took too long.
    """
    if not studies:
        raise DataError("expected studies to write reports for, got none")
    try:
        words = shlex.split(contract.command)
    except ValueError as error:
        raise DataError(f"--contract: {contract.command}: {error}") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise MissingFileError(
            f"--contract: no such program: {words[0] if words else contract.command!r}; expected a command "
            "such as 'ENVIRONMENT/bin/python inference.py'"
        )
    root = Path(os.path.commonpath([path.absolute().parent for s in studies for path in s.images]))
    with tempfile.TemporaryDirectory(prefix="radflow-contract-") as made:
        asked, answered = Path(made) / "input.json", Path(made) / "output.json"
        asked.write_text(json.dumps(records(studies, root), ensure_ascii=False), encoding="utf-8")
        files = ["--input_json_file", str(asked), "--save_json_file", str(answered)]
        _run([str(Path(program).absolute()), *words[1:], *files, "--img_root_dir", str(root)], contract, log)
        texts = predictions(answered, studies, contract.command)
    with atomic_file(out) as file:
        json.dump(_scored(studies, root, texts), file, ensure_ascii=False, indent=1)
        file.write("\n")
    return sum(not text.strip() for text in texts)


def records(studies: Sequence[Study], root: Path) -> dict[str, dict[str, Any]]:
    """The records of ``F``, with nothing of the references in them."""
    return {
        study.study_id: {
            "study_id": study.study_id,
            "image_path": (paths := [os.path.relpath(path.absolute(), root) for path in study.images]),
            "key_image_path": paths[0] if paths else "",
            "frontal_lateral": list(study.views),
            "context": " ".join(
                f"{name}: {text}"
                for name, text in (("Indication", study.indication), ("Comparison", study.comparison))
                if text
            ),
            "split": study.split or "test",
            "report": "",
            "section_findings": "",
            "section_impression": "",
        }
        for study in studies
    }


def predictions(path: Path, studies: Sequence[Study], command: str) -> list[str]:
    """The reports that a system wrote, in the order of the studies.

    Raises:
        MissingFileError: it wrote no file.
        DataError: the file is no JSON object or list of records, lacks studies, or a report is no text.
    """
    if not path.is_file():
        raise MissingFileError(f"{command}: it ended well and wrote nothing to --save_json_file")
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{command}: expected JSON in --save_json_file, got something else ({error})"
        ) from None
    if isinstance(found, list):  # some scripts write the records alone
        found = {one.get("study_id"): one for one in found if isinstance(one, dict)}
    if not isinstance(found, dict):
        raise DataError(
            f"{command}: expected a JSON object, study id to record, in --save_json_file; got "
            f"{type(found).__name__}"
        )
    missing = [s.study_id for s in studies if PREDICTION not in _record(found.get(s.study_id))]
    if missing:
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{command}: expected {PREDICTION} for {len(studies):,} studies, got none for "
            f"{', '.join(missing[:_SHOWN])}{more}"
        )
    texts = []
    for study in studies:
        text = _record(found[study.study_id])[PREDICTION]
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"{command}: study {study.study_id}: expected text as {PREDICTION}, got {type(text).__name__}"
            )
        texts.append(text or "")
    return texts


def _record(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _scored(studies: Sequence[Study], root: Path, texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The records with the reports, and the references that they are scored against."""
    asked = records(studies, root)
    return {
        study.study_id: {
            **asked[study.study_id],
            "patient_id": study.patient_id,
            "report": study.reference.text,
            "section_findings": study.reference.findings or "",
            "section_impression": study.reference.impression or "",
            PREDICTION: text,
        }
        for study, text in zip(studies, texts, strict=True)
    }


def _run(words: list[str], contract: Contract, log: Path) -> None:
    """Run a command to its end in a process group of its own; what it prints goes to the log."""
    with log.open("wb") as printed:
        try:
            process = subprocess.Popen(
                words,
                cwd=contract.folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise MissingFileError(f"{words[0]}: cannot be run ({error.strerror})") from None
        try:
            status = process.wait(contract.timeout)
        except subprocess.TimeoutExpired:
            raise RadflowError(
                f"{contract.command}: ended after {contract.timeout:g} seconds (--timeout) without a result; "
                f"what it printed is in {log}"
            ) from None
        finally:
            if process.poll() is None:  # too late, or interrupted: the group ends as a whole
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        last = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip().splitlines()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise RadflowError(
            f"{contract.command}: {how}; it last said: {last[-1] if last else 'nothing'} (all in {log})"
        )
