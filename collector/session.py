"""Engine, suite and machine of one call of the runner."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Final

from collector import engines
from collector.campaign import find_campaign
from collector.disk import room_for_answers
from collector.engines import Engine
from collector.engines.install import download_folder
from collector.engines.others import Resident, orphans, residents, unload_residents
from collector.errors import EngineError, ModelMissing
from collector.experiment import Experiment
from collector.fingerprint import Fingerprint, machine_fingerprint
from collector.ollama_client import OllamaClient
from collector.ollama_types import PullProgress
from collector.ollama_wire import same_model
from collector.plan import build_cases, check_contexts, experiment_suite
from collector.pulling import PullFailed, missing_models, pull_models
from collector.record import Op, Record, event, insert
from collector.telemetry.state import load_average
from db import Store, StoreError
from db.texts import both

__all__ = ["Session"]

log = logging.getLogger(__name__)

_RESTARTS: Final = 3
_PAUSE_S: Final = 1.0
_FLUSH_S: Final = 10.0


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
        check_contexts(experiment, self.cases, source)
        self.fingerprint: Fingerprint = machine_fingerprint()
        table = experiment.engine
        self.engine: Engine = engines.choose(
            table.kind, table.host, table.chosen_way, engines.log_folder(), table.service
        )
        self.client: OllamaClient | None = None
        self.version = ""
        self.stopped = False
        self.unavailable: dict[str, PullFailed] = {}
        self.warnings: list[str] = []
        self._record: Record | None = None
        self._trouble: Callable[[str], None] = self.warnings.append
        self._told: frozenset[str] = frozenset()

    def start_engine(self) -> None:
        """Starts the engine and asks its version; a later call restarts it."""
        if self.client is None:
            self.engine.start()
            if not self.engine.own and self.experiment.restart != "never":
                self.engine.restart([m.tag for m in self.experiment.models])  # it ran before, for whomever
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
                record.event("fault", "engine_not_ready", both(error.en, error.zh))
                if number == _RESTARTS:
                    raise
                time.sleep(_PAUSE_S * number)
            else:
                record.put(*self._noted())  # how the old one ended stands before the new one
                record.event("restart", self.engine.way, self.engine.url)
                self.clear_others(refuse=False)
                return
            finally:
                record.put(*self._noted())

    def keep(self, record: Record, on_trouble: Callable[[str], None]) -> None:
        """From here on, what happens to the engine goes into the record of the campaign."""
        self._record, self._trouble = record, on_trouble
        for sentence in self.warnings:
            on_trouble(sentence)
        record.put(*self._noted())
        for tag, error in self.unavailable.items():
            record.event("fault", error.fault, both(f"{tag}: {error.en}", f"{tag}：{error.zh}"))

    def _noted(self) -> list[Op]:
        """What the engine noted since the last call, as rows."""
        if self._record is None:
            return []  # it waits until there is a campaign
        campaign_id = self._record.campaign_id
        incidents, lives = self.engine.notes.take()
        rows = [{
            "log_id": uuid.uuid4().hex[:20], "campaign_id": campaign_id, "way": life.way, "started_at": life.started_at,
            "ended_at": life.ended_at, "exit_code": life.exit_code, "ended_by": life.ended_by,
            "log_bytes": life.log_bytes, "text": life.text,
        } for life in lives]  # fmt: skip
        logs = [insert("engine_logs", *rows)] if rows else []
        return [*(event(campaign_id, i.kind, i.name, i.detail) for i in incidents), *logs]

    def clear_others(self, *, refuse: bool = True) -> None:
        """Models that others hold in memory: unloaded where the file allows it and a server is there to ask, else named.

        Args:
            refuse: raise for a model in GPU memory that stays there; in mid-campaign it is named only.

        Raises:
            EngineError: a model of somebody else lies in GPU memory.
        """
        found = residents(self.engine, [m.tag for m in self.experiment.models])
        notes = self.engine.notes
        if found and self.experiment.engine.unload_others:
            left = unload_residents(found)
            if gone := [one.named() for one in found if one not in left]:
                notes.incident("others_unloaded", ", ".join(gone), "note")
            found = left
        on_gpu = [one for one in found if one.on_gpu]
        if on_gpu and refuse and self.engine.name != "pocket":
            raise _in_the_way(on_gpu, asked=self.experiment.engine.unload_others)
        names = frozenset([*(one.named() for one in found), *orphans()])
        if names and names != self._told:
            notes.incident("others_in_memory", ", ".join(sorted(names)), "note")
        self._told = names

    def check_disk(self) -> None:
        """Whether the database can take the answers that are left.

        Raises:
            DiskFull: it cannot.
        """
        found = find_campaign(self.store, self.experiment, self.fingerprint.machine_id)
        answers = sum(len(case.cells) for case in self.cases)
        if found and found.status != "finished":
            rows = self.store.query("SELECT count(*) AS n FROM cells WHERE campaign_id = ? AND state <> 'done'",
                                    [found.campaign_id])  # fmt: skip
            answers = int(rows.n[0])
        room = room_for_answers(self.store.path, answers)
        room.refuse()
        if room.low:
            said = room.sentences()
            self.warnings.append(both(f"the disk is nearly full: {said[0]}", f"磁盘空间不足：{said[1]}"))
            self.engine.notes.incident("disk_low", both(*said), "note")

    def _pull(self, client: OllamaClient, missing: list[str]) -> list[str]:
        """Gets what is missing; a model that cannot be got is left, so that the night goes on with the others."""
        folder = download_folder() if self.engine.own else None
        for tag in missing:
            try:
                pull_models(client, [tag], folder, _tell_pull)
            except PullFailed as error:
                log.warning("%s", error)
                self.unavailable[tag] = error
                self.warnings.append(both(error.en, error.zh))
        if len(self.unavailable) == len({m.tag for m in self.experiment.models}):
            raise next(iter(self.unavailable.values()))
        return []

    def check_models(self) -> None:
        """Raises ModelMissing for the first model that the engine does not have, PullFailed where none can be got."""
        assert self.client is not None  # noqa: S101  start_engine ran before
        missing = missing_models(self.client, [m.tag for m in self.experiment.models])
        if missing and self.experiment.pull and self.engine.name == "ollama":
            missing = self._pull(self.client, missing)
        if not missing:
            return
        cure = self.source if self.source.endswith(".toml") else " ".join(missing)
        if self.engine.name == "pocket":
            have = sorted(m.name for m in self.client.tags())
            raise ModelMissing(f"The embedded engine has no model {missing[0]!r}; it has {', '.join(have)}.",
                               f"内置引擎没有模型 {missing[0]!r}；可用：{'、'.join(have)}。")  # fmt: skip
        raise ModelMissing(f"The Ollama server at {self.engine.url} has no model {missing[0]!r}; get it with: python -m collector pull {cure}",
                           f"Ollama 服务器 {self.engine.url} 没有模型 {missing[0]!r}；请运行：python -m collector pull {cure}")  # fmt: skip

    def free_gpu(self) -> None:
        """Takes our models out of GPU memory, so that the scorer gets it; the next case loads its own anyway."""
        if self.engine.own and self.experiment.restart != "never":
            self.engine.stop()
            self.stopped = True
            return
        try:
            with OllamaClient(self.engine.url) as client:
                for loaded in client.ps():
                    if any(same_model(loaded.name, model.tag) for model in self.experiment.models):
                        client.unload(loaded.name)
        except EngineError as error:  # a server that is gone holds nothing
            log.info("nothing unloaded: %s", error)

    def close(self) -> None:
        """Ends what this call started, and keeps the log of its last process."""
        if self.client is not None:
            self.client.close()
        self.engine.stop()
        if self._record is None or not (ops := self._noted()):
            return
        try:
            self._record.put(*ops)
            self._record.flush(_FLUSH_S)
        except StoreError as error:  # kept in the file, which the next call stores; what was measured is safe
            log.warning("%s", error)


def _in_the_way(found: list[Resident], *, asked: bool) -> EngineError:
    """The sentence for models of others in GPU memory."""
    names = ", ".join(one.named() for one in found)
    if asked:
        return EngineError(f"Another server keeps models in GPU memory although it was asked to unload them: {names}; stop it.",
                           f"其他服务器未按请求卸载显存中的模型：{names}；请停止该服务器。")  # fmt: skip
    return EngineError(
        f"Another server holds models in GPU memory: {names}; stop them, or allow it with unload_others = true under [engine].",
        f"其他服务器占用显存：{names}；请停止这些模型，或在 [engine] 中设置 unload_others = true。",
    )
