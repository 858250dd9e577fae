"""Command line: ``python -m collector COMMAND``.

Exit codes: 0 done, 1 done with failed cells or findings, 2 wrong usage or input, 3 the environment is not fit,
130 stopped by the user.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from collector.cli import load_commands
from collector.errors import CollectorError
from collector.i18n import current, set_language, t
from db.errors import StoreError

__all__ = ["build_parser", "main"]


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, in the language that is set."""
    parser = argparse.ArgumentParser(
        prog="python -m collector",
        description=t("Measures language models: speed, energy, quality.", "测量语言模型：速度、能耗、质量。"),
        epilog=t("Start with: python -m collector doctor", "先运行：python -m collector doctor"),
    )
    parser.add_argument("--lang", choices=("zh", "en"), help=t("language of messages", "消息语言"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in load_commands():
        module.register(commands)  # type: ignore[attr-defined]
    for command in commands.choices.values():
        command.add_argument(
            "--lang", choices=("zh", "en"), default=argparse.SUPPRESS, help=t("language of messages", "消息语言")
        )
    return parser


def _asked_language(words: Sequence[str]) -> str | None:
    """The language is needed before the help is built, so it is looked for first."""
    for place, word in enumerate(words):
        if word.startswith("--lang="):
            word, value = word.split("=", 1)
        elif word == "--lang" and place + 1 < len(words):
            value = words[place + 1]
        else:
            continue
        return value if value in ("zh", "en") else None
    return None


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """A service manager's stop is the same as Ctrl-C: store what there is, end the engine, exit 130."""
    raise KeyboardInterrupt


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    set_language(_asked_language(words))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may not be UTF-8 by default
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = build_parser().parse_args(words)
    with contextlib.suppress(ValueError):  # not in the main thread (tests): nobody sends us signals there
        signal.signal(signal.SIGTERM, _terminated)
    command: Callable[[argparse.Namespace], int] = options.func
    try:
        return command(options)
    except (CollectorError, StoreError) as error:
        print(error.text(current()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(t("Stopped; what was done by then is kept.", "已停止；此前完成的部分均已保存。"), file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
