"""How well the client's stamps of an answer agree with the server's own, beside readers as they are usually written.

``python -m benchmarks.client [--answers 300]`` prints one JSON line. A scripted server in a process of its own keeps a
pause as long as a prefill, then sends its tokens one by one, and writes into every line when it did: its monotonic clock,
which is that of the whole machine. ``stamp_error`` is how much later a reader stamped the first token than the server
did before sending it; ``ttft_error`` is the error of the whole time, ours from the request being sent, the server's from
the request being read. The headers go out just before the first token, in a packet of their own. The readers take turns
at the same server:

* ``ours``: the collector's client;
* ``lines``: httpx with ``iter_lines``, every line parsed, then the clock read (what most scripts and client libraries do);
* ``urllib``: the standard library's reader, likewise.

First with a core to spare, then with one busy process per core. On a machine that others use, ``--realtime`` puts server
and readers before them (Linux, where it is permitted), which is as good as a core to spare; the load part never has it.
Target: p99 of our ``stamp_error`` <= 1 ms with a core to spare.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import psutil

from benchmarks.sampler import busy_cores
from collector.ollama_client import ChatRequest, Limits, OllamaClient
from collector.ollama_wire import unix_ns

PREFILL_S, TOKEN_S, TOKENS = 0.03, 0.004, 12
_BODY = {"model": "scripted", "messages": [{"role": "user", "content": "x" * 2000}], "stream": True}
_GOAL_MS = 1.0


class Read(NamedTuple):
    """One answer as a reader saw it: when it asked, when each token came, and the server's stamp of each (all ns)."""

    asked_ns: int
    receipts_ns: list[int]
    stamps_ns: list[int]
    server_read_ns: int


# --- the server ------------------------------------------------------------------------------------------------------
def _stamp() -> str:
    """The monotonic clock dressed as the API's time stamp."""
    now_ns = time.monotonic_ns()
    whole = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{now_ns % 1_000_000_000:09d}Z"


def _send(connection: socket.socket, data: dict[str, Any]) -> None:
    line = json.dumps({"model": "scripted", "created_at": _stamp(), **data}, separators=(",", ":")).encode() + b"\n"
    connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))


def _answer(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(65536)
    read_ns = time.monotonic_ns()
    time.sleep(PREFILL_S)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
                       b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")  # fmt: skip
    for number in range(TOKENS):
        _send(connection, {"message": {"role": "assistant", "content": f" word{number}"}, "done": False})
        time.sleep(TOKEN_S)
    final = {"done_reason": "stop", "prompt_eval_count": 500, "eval_count": TOKENS + 1, "total_duration": read_ns}
    _send(connection, {"message": {"role": "assistant", "content": ""}, "done": True, **final})
    connection.sendall(b"0\r\n\r\n")


def serve() -> None:
    """Answers one request after the other until its parent ends it; the first line it prints is its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _answer(connection)


@contextmanager
def scripted_server() -> Iterator[str]:
    """The server in its own process; gives its URL."""
    command = [sys.executable, "-m", "benchmarks.client", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


# --- the readers -----------------------------------------------------------------------------------------------------
def ours(url: str) -> Read:
    """The collector's client."""
    with OllamaClient(url) as client:
        outcome = client.chat(ChatRequest("scripted", _BODY["messages"]), Limits())  # type: ignore[arg-type]
    if outcome.fault or outcome.final is None:
        raise RuntimeError(f"{outcome.fault}: {outcome.fault_detail}")
    chunks = [chunk for chunk in outcome.chunks if chunk.text]
    stamps = [chunk.created_at_ns or 0 for chunk in chunks]
    return Read(outcome.sent_ns, [c.receipt_ns for c in chunks], stamps, outcome.final["total_duration"])


def _naive(lines: Iterator[str | bytes], asked_ns: int) -> Read:
    receipts: list[int] = []
    texts: list[str] = []
    for line in lines:
        data = json.loads(line)
        if data["done"]:
            break
        if data["message"]["content"]:
            receipts.append(time.monotonic_ns())
            texts.append(data["created_at"])
    return Read(asked_ns, receipts, [unix_ns(text) or 0 for text in texts], data["total_duration"])


def lines(url: str) -> Read:
    """httpx, line by line, parsed before the clock is read."""
    with httpx.Client(trust_env=False) as client:
        asked_ns = time.monotonic_ns()
        with client.stream("POST", f"{url}/api/chat", json=_BODY) as response:
            return _naive(iter(response.iter_lines()), asked_ns)


def urllib_reader(url: str) -> Read:
    """The standard library, likewise."""
    request = urllib.request.Request(f"{url}/api/chat", json.dumps(_BODY).encode())
    asked_ns = time.monotonic_ns()
    with urllib.request.urlopen(request) as response:
        return _naive(iter(response), asked_ns)


READERS: dict[str, Callable[[str], Read]] = {"ours": ours, "lines": lines, "urllib": urllib_reader}


# --- the figures -----------------------------------------------------------------------------------------------------
def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def errors_ms(reads: Sequence[Read]) -> dict[str, float]:
    """Errors against the server's own stamps: of the whole time to first token, of the first token's stamp, of every token's."""

    def error(read: Read) -> float:
        seen = read.receipts_ns[0] - read.asked_ns
        return (seen - (read.stamps_ns[0] - read.server_read_ns)) / 1e6

    def late(read: Read, at: int) -> float:
        return (read.receipts_ns[at] - read.stamps_ns[at]) / 1e6

    whole = [abs(error(read)) for read in reads]
    first = [late(read, 0) for read in reads]
    every = [late(read, at) for read in reads for at in range(len(read.receipts_ns))]
    return {
        "ttft_error_p50_ms": round(statistics.median(whole), 3),
        "ttft_error_p99_ms": round(_percentile(whole, 0.99), 3),
        "ttft_error_max_ms": round(max(whole), 3),
        "stamp_error_p50_ms": round(statistics.median(first), 3),
        "stamp_error_p99_ms": round(_percentile(first, 0.99), 3),
        "token_stamp_error_p99_ms": round(_percentile(every, 0.99), 3),
    }


def _compared(url: str, answers: int) -> dict[str, Any]:
    reads: dict[str, list[Read]] = {name: [] for name in READERS}
    for number in range(answers + 3):
        for name, reader in READERS.items():
            read = reader(url)
            if number >= 3:  # the first ones import and connect
                reads[name].append(read)
    return {name: errors_ms(found) for name, found in reads.items()}


def _in_front(realtime: bool) -> str:
    """Puts this process, and the server that it starts, before the other programs; tells what was granted."""
    if realtime:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except (AttributeError, PermissionError) as error:
            return f"normal ({error})"
        return "real time"
    return "normal"


def main() -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=300, help="per reader and part")
    parser.add_argument("--realtime", action="store_true", help="a core to spare on a machine that others use")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    cores = os.cpu_count() or 1
    told: dict[str, Any] = {"benchmark": "client", "answers": options.answers, "tokens_per_answer": TOKENS,
                            "goal_stamp_error_p99_ms": _GOAL_MS, "busy_cores": cores}  # fmt: skip
    with busy_cores(cores), scripted_server() as url:
        told["full_load"] = _compared(url, options.answers) | {"load_average": round(psutil.getloadavg()[0], 1)}
    told["scheduler"] = _in_front(options.realtime)
    with scripted_server() as url:
        told["core_to_spare"] = _compared(url, options.answers) | {"load_average": round(psutil.getloadavg()[0], 1)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
