"""Stands in for ``ollama serve`` as a process: an address, a runner child, and ways to misbehave.

``FAKE_MODE``: ok, exits, silent (never answers), stubborn (ignores SIGTERM), taken (says its port is taken, twice).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"version": "0.32.15"} if self.path == "/api/version" else {"models": []}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    mode = os.environ.get("FAKE_MODE", "ok")
    print("fake ollama", sys.argv[1:], flush=True)
    if mode == "exits":
        sys.exit("Error: could not find a home for the models")
    if mode == "taken":
        counter = Path(os.environ["FAKE_COUNTER"])
        count = int(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text(str(count))
        if count < 3:
            sys.exit("Error: listen tcp 127.0.0.1:1: bind: address already in use")
    if mode == "silent":
        time.sleep(600)
    # SIGTERM ends this process and leaves the runner to whoever looks after it
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    runner = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    print("runner", runner.pid, flush=True)
    host, port = os.environ["OLLAMA_HOST"].split(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


main()
