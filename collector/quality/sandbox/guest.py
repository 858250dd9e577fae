"""Runs inside: reads the job, confines itself, and runs the program or calls its function.

Everything here shares a process with the program, so nothing here is trusted afterwards: no expected value is ever
sent in, and what comes out is only what the program claims, to be compared outside.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import sys
import types

from collector.quality.sandbox.confine import confine
from collector.quality.sandbox.wire import MEMORY_CODE, SETUP_CODE, decode, encode

TYPE_CHECKING = False  # typing itself takes milliseconds to load, in every run
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["main"]

_MOST_RESULT = 500_000  # characters of one result


def main() -> None:
    """Reads one job from standard input: its length in ten digits, the job, then the program's own input."""
    job = json.loads(_read(int(_read(10))))
    try:
        confine(job["plan"], job["nonce"])
    except OSError as error:
        os.write(2, f"{error.strerror or error}".encode())
        os._exit(SETUP_CODE)
    for stream in (2, 1):  # what comes before was not said by the program
        os.write(stream, f"{job['nonce']}\n".encode())
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as an interactive Python has them
    for name in [name for name in sys.modules if name.startswith("collector.")]:
        del sys.modules[name]
    if job["entry_point"] is None:
        _program(job["code"])
    else:
        _cases(job)


def _read(size: int) -> bytes:
    """Exactly ``size`` bytes, without taking one byte of what follows."""
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(SETUP_CODE)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _execute(code: str, name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(code, "<answer>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what the sandbox is for
    return module


def _attempt(work: Callable[[], object]) -> BaseException | None:
    """What the program raised, if anything; it may be of any kind."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - the program's own error, which is shown or sent out
        return error
    return None


def _program(code: str) -> None:
    error = _attempt(lambda: _execute(code, "__main__"))
    if error is None:
        return
    if _is_memory(error):
        _out_of_memory()
    if isinstance(error, SystemExit):
        raise error
    import linecache
    import traceback  # both take milliseconds to load, which a program without an error need not wait for

    linecache.cache["<answer>"] = (len(code), None, code.splitlines(True), "<answer>")
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename != "<answer>":
        shown = shown.tb_next
    traceback.print_exception(type(error), error, shown)
    sys.exit(1)


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def _out_of_memory() -> NoReturn:
    sys.modules["__main__"].__dict__.clear()
    try:
        sys.stdout.flush()
    finally:
        os.write(2, b"MemoryError\n")
        os._exit(MEMORY_CODE)


def _cases(job: dict[str, Any]) -> NoReturn:
    """Calls the function once per case; one tagged line before and one after each call."""
    channel = os.dup(1)
    os.dup2(2, 1)  # what the program prints is not a result
    tag = job["nonce"]

    def tell(**record: object) -> None:
        line = f"\n{tag} {json.dumps(record)}\n".encode()
        while line:
            line = line[os.write(channel, line) :]

    number: int | None = None  # None: not yet at a case
    function: Any = None

    def report(error: BaseException) -> None:
        texts: list[str] = []
        _attempt(lambda: texts.append(str(error)[:200]))
        names = [kind.__name__ for kind in type(error).__mro__]
        tell(**{"case": number, "raised": names, "text": "".join(texts), "memory": _is_memory(error)})

    def load() -> None:
        nonlocal function
        function = getattr(_execute(job["code"], "answer"), job["entry_point"])

    def call() -> None:
        value = function(*decode(args), **decode(kwargs))
        try:
            result = encode(value)
        except (TypeError, RecursionError):
            return tell(case=number, odd=type(value).__name__)
        if len(json.dumps(result)) > _MOST_RESULT:
            return tell(case=number, odd="a result that is too large")
        return tell(case=number, value=result)

    error = _attempt(load)
    if error is not None:
        report(error)
        os._exit(1)
    for number, (args, kwargs) in enumerate(job["cases"]):  # noqa: B007 - read by report and call
        tell(start=number)
        error = _attempt(call)
        if error is not None:
            report(error)
    os._exit(0)  # no exit hook, no waiting for threads
