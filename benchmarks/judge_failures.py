"""Questions to a server that fails in every way, and a kill in the middle; prints one JSON object.

    python benchmarks/judge_failures.py [--questions 5000] [--failures 0.3] [--concurrency 64]

A process of its own answers chat completions with yes or no by a hash of the question. A share of requests,
drawn at random, fails instead: 500, 429 with Retry-After, a connection cut in the middle of the answer, one
closed without a word, HTML, a text that is no answer. A client process asks all questions through the verdict
store, is killed (SIGKILL) when a third is stored, and is started again. Counted at the end: questions with
exactly one stored verdict, those whose verdict is the server's, those that the server answered more than once
(only what was under way when the client died may be among them), and what was asked again although it had
been stored before the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from judge_endpoint import pairs, read_message

from radflow import config, judges

JSON, HTML = "application/json", "text/html"


def answer(question: str) -> str:
    return "yes" if hashlib.sha256(question.encode()).digest()[0] % 2 else "no"


def reply(status: int, body: str, kind: str = JSON, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return (head + body).encode()


def completion(text: str) -> str:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 150, "completion_tokens": 6}
    return json.dumps(
        {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
    )


FAILURES = (
    reply(500, "{}"),
    reply(429, "{}", more="retry-after: 0.05\r\n"),
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{",  # then cut
    b"",  # then closed
    reply(200, "<html>Bad gateway</html>", HTML),
    reply(200, completion("I would rather not say.")),
)


def serve(failures: float, pipe: Any) -> None:
    """Answer for ever; tell the port, and on request how often each question was answered."""
    answered: Counter[str] = Counter()
    draw = random.Random(0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                question = json.loads(await read_message(reader))["messages"][1]["content"]
                await asyncio.sleep(0.02)
                if draw.random() < failures:
                    failure = draw.choice(FAILURES)
                    writer.write(failure)
                    if len(failure) < 100 and b"{}" not in failure:
                        break
                else:
                    said = json.dumps({"answer": answer(question)})
                    writer.write(reply(200, completion(said)))
                    answered[question] += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1000)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            if pipe.poll():
                pipe.recv()
                pipe.send(dict(answered))
            await asyncio.sleep(0.01)

    asyncio.run(run())


def client(store: str, port: int, questions: int, concurrency: int) -> None:
    """Ask all; the process that is killed."""
    knobs = config.Judge(base_url=f"http://127.0.0.1:{port}/v1", store=Path(store), concurrency=concurrency)
    judge = judges.load("openai:m", knobs)
    judge([question.texts for question in pairs(questions)])


def stored(store: Path) -> dict[str, int]:
    """Key -> verdict, as far as they are stored."""
    if not store.exists():
        return {}
    with sqlite3.connect(store, timeout=30) as db:
        try:
            return {key.hex(): verdict for key, verdict in db.execute("SELECT key, verdict FROM verdicts")}
        except sqlite3.OperationalError:  # the tables are being made
            return {}


def ask(pipe: Any) -> dict[str, int]:
    pipe.send("answered?")
    return pipe.recv()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=5000)
    parser.add_argument("--failures", type=float, default=0.3)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--client", nargs=2, metavar=("STORE", "PORT"), help=argparse.SUPPRESS)
    knobs = parser.parse_args()
    if knobs.client:
        return client(knobs.client[0], int(knobs.client[1]), knobs.questions, knobs.concurrency)

    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(knobs.failures, there), daemon=True)
    server.start()
    port = here.recv()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "verdicts.sqlite3"
        command = [sys.executable, __file__, "--client", str(store), str(port)]
        command += ["--questions", str(knobs.questions), "--concurrency", str(knobs.concurrency)]
        first = subprocess.Popen(command)
        while len(stored(store)) < knobs.questions // 3:
            assert first.poll() is None, "the client ended before it could be killed"
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(0.2)
        before, answered_before = stored(store), ask(here)
        begun = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - begun
        verdicts, answered = stored(store), ask(here)
    server.terminate()
    twice = {question for question, count in answered.items() if count > 1}
    unstored = len(answered_before) - len(before)
    told = {
        "questions": knobs.questions,
        "with_one_stored_verdict": len(verdicts),
        "yes": sum(verdicts.values()),
        "yes_by_the_server": sum(answer(question) == "yes" for question in answered),
        "lost": knobs.questions - len(verdicts),
        "stored_before_the_kill": len(before),
        "answered_but_not_stored_at_the_kill": unstored,
        "answered_twice": len(twice),
        "asked_again_although_stored": len(twice) - unstored,
        "changed_after_the_kill": sum(verdicts[key] != verdict for key, verdict in before.items()),
        "failures": knobs.failures,
        "concurrency": knobs.concurrency,
        "seconds_after_the_kill": round(seconds, 1),
    }
    print(json.dumps(told, indent=1))
    return None


if __name__ == "__main__":
    main()
