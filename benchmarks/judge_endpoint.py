"""How much of a server's throughput a judge behind an endpoint reaches; prints one JSON object, ratios first.

    python benchmarks/judge_endpoint.py [--questions 1500] [--slots 64] [--latency 0.5] [--rounds 3]

A process of its own answers chat completions after ``--latency`` seconds, at most ``--slots`` at once. Its
limit is measured with a bare asyncio client, one connection per slot, which only sends the bytes of
the judge's own first request and reads the answer. Judge and bare client take turns; ``ratio`` is the median
over the rounds of the judge's answers per second over the bare client's in the same round. ``ceiling`` is
slots over latency. ``cpu_ms`` is the processor time of a request in our process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from radflow import config
from radflow.judges.llm.answers import RESPONSE_FORMAT
from radflow.judges.llm.endpoint import Endpoint
from radflow.judges.llm.questions import Answer, Question, load_prompt

BODY = json.dumps(
    {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": '{"answer": "yes"}'}}],
        "usage": {"prompt_tokens": 150, "completion_tokens": 6},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


def serve(slots: int, latency: float, ready: Any) -> None:
    """Answer for ever; tell the port through ``ready``."""

    async def run() -> None:
        free = asyncio.Semaphore(slots)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    await read_message(reader)
                    async with free:
                        await asyncio.sleep(latency)
                    writer.write(ANSWER)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1000)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with a content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return await reader.readexactly(int(length.partition(b":")[2]))


async def bare(port: int, count: int, slots: int) -> None:
    """Ask ``count`` times over ``slots`` connections."""
    question = load_prompt("consistency").messages(pairs(1)[0])
    body = json.dumps(
        {"model": "m", "messages": question, "response_format": RESPONSE_FORMAT, "max_tokens": 64}
    ).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    left = iter(range(count))

    async def line() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(request)
            await read_message(reader)
        writer.close()

    await asyncio.gather(*(line() for _ in range(slots)))


def pairs(count: int) -> list[Question]:
    """Questions about drawn sentences, each another."""
    findings = (
        "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax. Film {}."
    )
    return [
        Question(kind="consistency", texts=(findings.format(index), "No acute cardiopulmonary abnormality."))
        for index in range(count)
    ]


def rate(count: int, work: Callable[[], None]) -> tuple[float, float]:
    """Answers per second, and processor milliseconds per answer."""
    started, used = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - started), 1000 * (time.process_time() - used) / count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    knobs = parser.parse_args()

    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(knobs.slots, knobs.latency, there), daemon=True
    )
    server.start()
    port = here.recv()
    endpoint = Endpoint("m", config.Judge(base_url=f"http://127.0.0.1:{port}/v1", concurrency=knobs.slots))
    answers: dict[int, Answer] = {}
    endpoint.ask(pairs(1), answers.__setitem__)  # imports the client, finds out about structured answers

    rounds = []
    for _ in range(knobs.rounds):
        limit, bare_cpu = rate(knobs.questions, lambda: asyncio.run(bare(port, knobs.questions, knobs.slots)))
        answers.clear()
        ours, cpu = rate(knobs.questions, lambda: endpoint.ask(pairs(knobs.questions), answers.__setitem__))
        assert len(answers) == knobs.questions
        rounds.append(
            {"ratio": ours / limit, "ours": ours, "bare": limit, "cpu_ms": cpu, "bare_cpu_ms": bare_cpu}
        )
    server.terminate()
    told = {name: round(median(one[name] for one in rounds), 3) for name in rounds[0]}
    told |= {"ceiling": knobs.slots / knobs.latency, "ratios": [round(one["ratio"], 3) for one in rounds]}
    print(json.dumps(told | vars(knobs), indent=1))


if __name__ == "__main__":
    main()
