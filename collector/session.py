"""Engine, suite and machine of one call of the runner."""

from __future__ import annotations

import logging
import time
from typing import Final

from collector import engines
from collector.engines import Engine
from collector.engines.install import find_models
from collector.errors import EngineError, ModelMissing
from collector.experiment import Experiment
from collector.fingerprint import Fingerprint, machine_fingerprint
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.plan import build_cases, experiment_suite
from collector.pulling import missing_models, pull_models
from collector.record import Record
from collector.telemetry.state import load_average
from db import Store

__all__ = ["Session"]

log = logging.getLogger(__name__)

_RESTARTS: Final = 3
_PAUSE_S: Final = 1.0


def _tell_pull(tag: str, line: PullProgress) -> None:
    log.info("%s: %s %s/%s", tag, line.status, line.completed_bytes, line.total_bytes)


class Session:
    """Engine, suite and machine of one call of the runner, closed in one place."""

    def __init__(self, store: Store, experiment: Experiment, source: str, minutes: float | None) -> None:
        self.store, self.experiment, self.source = store, experiment, source
        self.load_average = load_average()  # before anything of ours runs
        self.deadline = time.monotonic() + minutes * 60 if minutes else None
        self.suite = experiment_suite(experiment, source)
        self.cases = build_cases(experiment, self.suite)
        self.fingerprint: Fingerprint = machine_fingerprint()
        table = experiment.engine
        self.engine: Engine = engines.choose(table.kind, table.host, table.chosen_way, engines.log_folder())
        self.client: OllamaClient | None = None
        self.version = ""
        self.stopped = False

    def start_engine(self) -> None:
        """Starts the engine and asks its version; a later call restarts it."""
        if self.client is None:
            self.engine.start()
        else:
            self.client.close()
            # a server that is not ours keeps its other models: only those of this experiment are unloaded
            self.engine.restart([m.tag for m in self.experiment.models])
        self.stopped = False
        self.client = OllamaClient(self.engine.url)
        if not self.client.ready(timeout_s=60):
            raise EngineError(f"The engine at {self.engine.url} did not become ready within 60 s.",
                              f"引擎 {self.engine.url} 在 60 秒内未就绪。")  # fmt: skip
        self.version = self.client.version()

    def restart_engine(self, record: Record) -> None:
        """A clean state in the middle of a campaign, on record; tried a few times.

        Raises:
            EngineError: it did not become ready.
        """
        for number in range(1, _RESTARTS + 1):
            try:
                self.start_engine()
            except EngineError as error:
                record.event("fault", "engine_not_ready", str(error))
                if number == _RESTARTS:
                    raise
                time.sleep(_PAUSE_S * number)
            else:
                record.event("restart", self.engine.way, self.engine.url)
                return

    def check_models(self) -> None:
        """Raises ModelMissing for the first model that the engine does not have."""
        assert self.client is not None  # noqa: S101  start_engine ran before
        missing = missing_models(self.client, [m.tag for m in self.experiment.models])
        if missing and self.experiment.pull and self.engine.name == "ollama":
            pull_models(self.client, missing, find_models() if self.engine.can_restart else None, _tell_pull)
            missing = []
        if not missing:
            return
        cure = " ".join(missing)
        if self.engine.name == "pocket":
            have = sorted(m.name for m in self.client.tags())
            raise ModelMissing(f"The embedded engine has no model {missing[0]!r}; it has {', '.join(have)}.",
                               f"内置引擎没有模型 {missing[0]!r}；可用：{'、'.join(have)}。")  # fmt: skip
        raise ModelMissing(f"The Ollama server at {self.engine.url} has no model {missing[0]!r}; get it with: ollama pull {cure}",
                           f"Ollama 服务器 {self.engine.url} 没有模型 {missing[0]!r}；请运行：ollama pull {cure}")  # fmt: skip

    def free_gpu(self) -> None:
        """Takes our models out of GPU memory, so that the scorer gets it; the next case loads its own anyway."""
        if self.engine.can_restart and self.experiment.restart != "never":
            self.engine.stop()
            self.stopped = True
        elif self.client is not None:
            for model in self.experiment.models:
                self.client.unload(model.tag)

    def close(self) -> None:
        """Ends what this call started."""
        if self.client is not None:
            self.client.close()
        self.engine.stop()
