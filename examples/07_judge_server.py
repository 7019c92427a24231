"""The rule judge behind an OpenAI-compatible endpoint: try `openai:` judges with no key and no network.

    python examples/07_judge_server.py 8123 carotid-us
    radflow run carotid-easy --reward.judge openai:rules --judge.base-url http://127.0.0.1:8123/v1

Both kinds of question are answered; without a modality it goes by the words of each report.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from radflow.judges import load
from radflow.reports import parse_report

SECTION = r"<{0}>\n(.*)\n</{0}>"
rules = load("rules")
asked = 0


def answer(question: str) -> bool:
    """Read the texts between their tags and judge them."""
    report = re.search(SECTION.format("report"), question, re.DOTALL)
    if report:
        return rules.criticality([parse_report(report[1])])[0]
    pair = [re.search(SECTION.format(tag), question, re.DOTALL)[1] for tag in ("findings", "impression")]
    return rules([tuple(pair)])[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        global asked
        asked += 1
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = json.dumps({"answer": "yes" if answer(body["messages"][1]["content"]) else "no"})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        usage = {"prompt_tokens": len(str(body)) // 4, "completion_tokens": 5}
        reply = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Reports are not for logs."""


if __name__ == "__main__":
    rules = rules.for_modality(sys.argv[2]) if len(sys.argv) > 2 else rules
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8123), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}/v1", flush=True)
    try:
        server.serve_forever()
    finally:
        print(f"asked {asked} questions")
