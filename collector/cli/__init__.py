"""One module per command; each has ``register(subparsers)`` and is listed in :data:`COMMANDS`."""

from __future__ import annotations

from importlib import import_module

__all__ = ["COMMANDS", "load_commands"]

COMMANDS = ("quickstart", "doctor", "pull", "plan", "run", "status", "show", "calibrate", "import_meter", "score", "check_suite", "import_items", "check_sandbox", "check_metrics", "serve", "pocket")


def load_commands() -> list[object]:
    """The command modules in the order of the help."""
    return [import_module(f"collector.cli.{name}") for name in COMMANDS]
