"""Errors of the collector.

CollectorError             exit code 3 unless a subclass says otherwise
├── UsageError             wrong command line or input file, exit code 2
│   ├── ExperimentError    the experiment file: names file, table and field
│   └── ItemError          a suite or item file
├── EngineError            the engine is not there, not ready or does not have the model
│   └── ModelMissing       names the model and the command that pulls it
├── SensorError            a sensor could not be set up (never raised for "not supported": that is a status)
├── ScorerError            a checkpoint is missing or unusable
│   └── NoSandbox          no sandbox passed its escape battery
└── Busy                   another campaign is measuring on this machine

Every error carries its sentence in English (``en``) and Chinese (``zh``); ``str(error)`` is the English one.
What goes wrong inside one request is not an exception: it is a named fault in the run's record (db/flags.py).
"""

from __future__ import annotations

__all__ = [
    "Busy", "CollectorError", "EngineError", "ExperimentError", "ItemError", "ModelMissing", "NoSandbox",
    "ScorerError", "SensorError", "UsageError",
]  # fmt: skip


class CollectorError(Exception):
    """Root of the collector's errors; ``exit_code`` is what a command ends with."""

    exit_code = 3

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh

    def text(self, language: str) -> str:
        """The sentence in ``language`` (``zh`` or anything else for English)."""
        return self.zh if language == "zh" else self.en


class UsageError(CollectorError):
    """Wrong command line or input file."""

    exit_code = 2


class ExperimentError(UsageError):
    """The experiment file is wrong; the sentence names file, table and field."""


class ItemError(UsageError):
    """A suite or item file is wrong; the sentence names file, item and field."""


class EngineError(CollectorError):
    """The engine is not there, does not become ready or refuses."""


class ModelMissing(EngineError):
    """The engine does not have the model; the sentence names the command that gets it."""


class SensorError(CollectorError):
    """A sensor could not be set up."""


class ScorerError(CollectorError):
    """A checkpoint is missing or unusable."""


class NoSandbox(ScorerError):
    """No sandbox passed its escape battery, so no generated code runs."""


class Busy(CollectorError):
    """Another campaign is measuring on this machine."""
