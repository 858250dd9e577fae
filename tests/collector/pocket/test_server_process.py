"""The server as a process: ready early, ends at once, dies on purpose."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx
import pytest

from tests.fakes.pocket_server import ROOT, pocket_process, running_server

CHAT = {"model": "loop", "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 256}}
ENDS = [signal.SIGTERM, signal.SIGINT] if sys.platform != "win32" else []


def test_no_heavy_library_before_the_first_answer() -> None:
    """The version is answered without torch and the tokenizers: they load beside the serving thread."""
    code = (
        "import sys, collector.pocket.server as s; "
        "print([m for m in ('torch', 'transformers', 'tokenizers', 'jinja2', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("number", ENDS)
def test_ends_at_once_when_told(number: signal.Signals) -> None:
    with pocket_process() as (url, process):
        assert httpx.get(f"{url}/api/version", timeout=60).json()["version"].endswith("-pocket")
        process.send_signal(number)
        assert process.wait(10) == 0


def test_a_server_that_ends_cuts_its_streams() -> None:
    """As recorded in server_term_chat: lines, then a connection closed without the end of the body."""
    lines = []
    with running_server() as server:

        def read() -> None:
            with httpx.stream("POST", f"{server.url}/api/chat", json=CHAT, timeout=60) as response:
                for line in response.iter_lines():
                    lines.append(json.loads(line))
                    if len(lines) == 2:
                        server.stop()

        with pytest.raises(httpx.RemoteProtocolError):
            read()
    assert len(lines) >= 2
    assert not any(line["done"] for line in lines)


def test_a_crash_ends_the_process() -> None:
    with pocket_process(faults=[{"fault": "crash", "after": 1}]) as (url, process):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{url}/api/chat", json=CHAT, timeout=60)
        assert process.wait(10) == 139
