"""A container engine's client as far as the sandbox asks it: it runs the command in a plain process, isolated by nothing.

Its folder holds a file with the process of each "container" and the list of calls; ``FAKE_ENGINE`` says how it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn


def refuse(code: int, text: str) -> NoReturn:
    print(text, file=sys.stderr, flush=True)
    sys.exit(code)


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def run(words: list[str], folder: Path, fault: str) -> None:
    nonce, image = words[-1], words[words.index("--entrypoint") + 2]
    (folder / value(words, "--name")).write_text(str(os.getpid()))
    print("WARNING: limits are not what they seem", file=sys.stderr, flush=True)
    if fault == "run hangs":
        time.sleep(60)
    if fault == "image is gone":
        refuse(125, f"Error: {image}: image not known")
    if fault == "no python":
        refuse(127, 'exec: "python3": executable file not found in $PATH')
    if fault in ("memory is over", "breaks off"):
        for stream in (sys.stderr, sys.stdout):
            print(nonce, file=stream, flush=True)
        sys.exit(137 if fault == "memory is over" else refuse(125, "error waiting for container: unexpected EOF"))
    given = dict(words[n + 1].split("=", 1) for n, word in enumerate(words) if word == "--env")
    os.execve(
        sys.executable, [value(words, "--entrypoint"), *words[words.index(image) + 1 :]], {**given, "PATH": "/bin"}
    )


def end(name: str, folder: Path, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(int((folder / name).read_text()), number)


def main() -> None:
    words, folder = sys.argv[1:], Path(os.environ["FAKE_ENGINE_FOLDER"])
    fault = json.loads(os.environ["FAKE_ENGINE"]).get(Path(sys.argv[0]).name, "")
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    if fault == "hangs":
        time.sleep(60)
    if fault == "is down":
        refuse(125, "details\nCannot connect to the engine. Is it running?")
    if words[:2] == ["image", "inspect"]:
        if fault == "no image":
            refuse(125, f"Error: no such image: {words[-1]}")
        print(os.environ.get("FAKE_ENGINE_IMAGE", "linux/amd64" if os.uname().machine == "x86_64" else "linux/arm64"))
    elif words[0] == "ps":
        print(*(path.name for path in folder.glob("sandbox-*")), sep="\n")
    elif words[0] == "kill" and fault != "deaf":
        end(words[-1], folder, signal.SIGTERM)
    elif words[0] == "rm":
        end(words[-1], folder, signal.SIGKILL)
        (folder / words[-1]).unlink(missing_ok=True)
    elif words[0] == "run":
        run(words, folder, fault)


if __name__ == "__main__":
    main()
