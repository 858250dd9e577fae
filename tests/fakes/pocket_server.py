"""The embedded engine for tests: the real server and runtime, with models small enough to be written on the spot.

A *reciter* is a genuine Llama model folder whose weights make it say one text: every token has exactly one successor.
So a test knows each answer beforehand, and no part of the engine is replaced.

    with pocket_server(faults=["ok", "cut"]) as url:
        ...  # POST {url}/api/chat with model "tiny:f16"
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from collector.pocket.endpoints import Endpoints
from collector.pocket.faults import ENVIRONMENT, FaultScript
from collector.pocket.folder import EOS, SPECIALS, llama_config, write_llama
from collector.pocket.server import PocketServer
from collector.pocket.text import byte_alphabet
from collector.pocket.tokenizer import build

__all__ = ["ANSWER", "ROOT", "pocket_process", "pocket_server", "running_server", "tiny_models", "write_reciter"]

ROOT = Path(__file__).resolve().parents[2]
ANSWER = ("Power", " is", " energy", " per", " second:", " 功率", "是", "每秒", "的能量", "。")
"""What ``tiny:f16`` answers to everything, one entry per token; then comes the end token."""


def write_reciter(
    folder: Path, pieces: Sequence[str | bytes], *, back_to: int | None = None, context: int = 2048, words: str = ""
) -> Path:
    """Writes a model folder that answers everything with ``pieces``.

    Args:
        folder: is created.
        pieces: different texts of at least two bytes, one token each; bytes where a token is no whole character.
        back_to: index of the piece that follows the last one; None ends the answer there.
        context: tokens the model is made for.
        words: text whose words become tokens; any other text is read byte by byte.
    """
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    spelled = ["".join(letters[byte] for byte in _bytes(piece)) for piece in pieces]
    plan = json.loads(build([words], 4096, SPECIALS, min_frequency=1).to_str())
    vocabulary: dict[str, int] = plan["model"]["vocab"]
    assert not set(spelled) & set(vocabulary), "pieces must differ from each other and from the tokens of words"
    first = len(vocabulary)
    vocabulary |= {name: first + place for place, name in enumerate(spelled)}
    size = len(vocabulary)
    tokenizer = Tokenizer.from_str(json.dumps(plan))

    hidden = size + -size % 8
    config = llama_config(vocabulary=size, hidden=hidden, layers=1, heads=2, kv_heads=1, inner=8)
    config |= {"tie_word_embeddings": False, "max_position_embeddings": context}
    successor = [first] * size  # whatever comes before the answer leads to its first piece
    for place in range(len(pieces)):
        successor[first + place] = first + place + 1
    successor[-1] = SPECIALS.index(EOS) if back_to is None else first + back_to
    head = torch.zeros(size, hidden)
    head[successor, range(size)] = 10.0
    # One direction per token, and layers that add nothing: the next token depends on the last one alone.
    zeros = {
        "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden // 2, hidden),
        "self_attn.v_proj": (hidden // 2, hidden), "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (8, hidden), "mlp.up_proj": (8, hidden), "mlp.down_proj": (hidden, 8),
    }  # fmt: skip
    tensors = {
        "model.embed_tokens.weight": torch.eye(size, hidden),
        "lm_head.weight": head,
        **{f"model.{name}.weight": torch.ones(hidden) for name in ("norm", "layers.0.input_layernorm")},
        "model.layers.0.post_attention_layernorm.weight": torch.ones(hidden),
        **{f"model.layers.0.{name}.weight": torch.zeros(shape) for name, shape in zeros.items()},
    }
    write_llama(folder, config, tensors, tokenizer)
    return folder


def _bytes(piece: str | bytes) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


@cache
def tiny_models() -> Mapping[str, Path]:
    """``tiny:f16`` says :data:`ANSWER`; ``loop:f16`` counts for ever."""
    root = Path(tempfile.mkdtemp(prefix="pocket-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return {
        "tiny:f16": write_reciter(root / "tiny", ANSWER),
        "loop:f16": write_reciter(root / "loop", (" one", " two", " three", " four"), back_to=0),
    }


@contextmanager
def running_server(
    *,
    models: Mapping[str, Path] | None = None,
    faults: Sequence[str | dict[str, Any]] = (),
    max_loaded: int = 1,
    max_queue: int = 512,
) -> Iterator[PocketServer]:
    """The server in a thread of this process.

    Args:
        models: full name to folder; None for :func:`tiny_models`.
        faults: one entry for each generating request, see :mod:`collector.pocket.faults` (``crash`` would end the
            test run: use :func:`pocket_process`).
        max_loaded: models in memory at once.
        max_queue: requests that may wait for a load.
    """
    endpoints = Endpoints(models or tiny_models(), FaultScript(faults), max_loaded=max_loaded, max_queue=max_queue)
    server = PocketServer(("127.0.0.1", 0), endpoints)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        server.server_close()


@contextmanager
def pocket_server(**arguments: Any) -> Iterator[str]:
    """As :func:`running_server`; yields the URL."""
    with running_server(**arguments) as server:
        yield server.url


@contextmanager
def pocket_process(
    *, models_dir: Path | None = None, faults: Sequence[str | dict[str, Any]] = (), arguments: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server as a process of its own; yields its URL and the process.

    Args:
        models_dir: folder of model folders; None for :func:`tiny_models`.
        faults: as for :func:`pocket_server`; given to the process by the environment.
        arguments: further command-line arguments.
    """
    models_dir = models_dir or tiny_models()["tiny:f16"].parent
    environment = {**os.environ, "POCKET_MODELS": str(models_dir), "PYTHONPATH": str(ROOT)}
    switches = list(arguments)
    if faults:
        environment[ENVIRONMENT] = json.dumps(list(faults))
        switches.append("--test-faults")
    command = [sys.executable, "-m", "collector.pocket.server", "--port", "0", *switches]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on "), line
            yield line.split()[-1], process
        finally:
            process.kill()
