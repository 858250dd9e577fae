"""Is this machine fit to measure? One line for each thing that matters: ok, or what to do about it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Literal

from collector import engines
from collector.calibration import Device, factors
from collector.disk import free_bytes, room_for_answers
from collector.engines import Engine
from collector.engines.install import find_models
from collector.engines.others import gpu_strangers, orphans, residents
from collector.errors import CollectorError
from collector.experiment import Experiment
from collector.fingerprint import machine_fingerprint
from collector.i18n import t
from collector.ollama_client import OllamaClient
from collector.ollama_types import ChatRequest, Limits
from collector.ollama_wire import same_model
from collector.plan import planned_answers
from collector.pulling import missing_models
from collector.quality.checkpoints import DEFAULTS, POCKET, download_hint, locate
from collector.quality.sandbox import available, prove
from collector.quality.sandbox import cure as sandbox_cure
from collector.telemetry.sampler import probe
from collector.telemetry.types import Factor
from db import Store, StoreError

__all__ = ["Check", "examine"]

Outcome = Literal["ok", "note", "fail"]

_REQUIRED = ("streamlit", "duckdb", "httpx", "psutil", "nvidia-ml-py", "torch", "transformers", "apscheduler", "altair")
_LOW_DISK_BYTES = 2_000_000_000
_COARSE_CLOCK_S = 0.001


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``ok``, ``note`` (works, but read it) or ``fail`` (measuring would not work); with the cure."""

    name: str
    outcome: Outcome
    text: str
    cure: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Plain values for ``--json``."""
        return asdict(self)


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "fail", f"Python {version}",
                None if sys.version_info >= (3, 11) else t("install Python 3.11 or newer", "安装 Python 3.11 或更新版本"))  # fmt: skip
    tick_s = time.get_clock_info("monotonic").resolution
    if tick_s > _COARSE_CLOCK_S:  # Windows before Python 3.13
        yield Check("clock", "note", t(f"this Python's clock ticks every {tick_s * 1000:.1f} ms: no time can be told finer than that",
                                       f"此 Python 的时钟每 {tick_s * 1000:.1f} ms 走一格：所有时间都无法更精细"),
                    t("install Python 3.13 or newer", "安装 Python 3.13 或更新版本"))  # fmt: skip
    found, missing = [], []
    for name in _REQUIRED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Check(
            "packages", "fail", t(f"missing: {', '.join(missing)}", f"缺少：{'、'.join(missing)}"), "python start.py"
        )
    else:
        yield Check("packages", "ok", ", ".join(found))


def _answer(client: OllamaClient, model: str) -> Check:
    options = {"num_predict": 8, "temperature": 0.0, "seed": 1, "num_ctx": 512}
    request = ChatRequest(model, [{"role": "user", "content": "Name one metal."}], options, think=False)
    limits = Limits(first_token_s=120, stall_s=60, deadline_s=180)
    begun = time.monotonic()
    outcome = client.chat(request, limits)
    if outcome.fault:
        return Check("answer", "fail", f"{model}: {outcome.fault} {outcome.fault_detail or ''}".strip(),
                     t("look at the engine's log", "请查看引擎日志"))  # fmt: skip
    seconds = time.monotonic() - begun
    return Check("answer", "ok", t(f"{model} answered in {seconds:.1f} s", f"{model} 在 {seconds:.1f} 秒内作答"))


def _models(client: OllamaClient, experiment: Experiment) -> Check:
    missing = missing_models(client, [m.tag for m in experiment.models])
    if missing:
        return Check(
            "models",
            "fail",
            t(f"missing: {', '.join(missing)}", f"缺少：{'、'.join(missing)}"),
            f"python -m collector pull {' '.join(missing)}",
        )
    return Check(
        "models", "ok", t(f"all {len(experiment.models)} models are there", f"{len(experiment.models)} 个模型均已就绪")
    )


def _engine(experiment: Experiment | None) -> Iterator[Check]:
    kind, host = (experiment.engine.kind, experiment.engine.host) if experiment else ("auto", None)
    found = engines.probe(kind, host)
    if found.name == "pocket":
        yield Check("engine", "note", t("no Ollama found: the embedded engine's demonstration models are measured; they say nothing about real language models",
                                        "未发现 Ollama：将测量内置引擎的演示模型；其结果不代表真实语言模型"),
                    t("install Ollama from ollama.com, or set OLLAMA_HOST", "从 ollama.com 安装 Ollama，或设置 OLLAMA_HOST"))  # fmt: skip
    way, service = (experiment.engine.chosen_way, experiment.engine.service) if experiment else (None, None)
    engine = engines.choose(kind, host, way, engines.log_folder(), service)
    yield from _ways(engine.way, host, service)
    engine.start()
    try:
        with OllamaClient(engine.url) as client:
            yield Check("engine version", "ok", f"{engine.name} {client.version()} · {engine.url}")
            if experiment:
                yield _models(client, experiment)
            tags = sorted(client.tags(), key=lambda m: m.size_bytes or 0)
            wanted = [m.tag for m in experiment.models] if experiment else [m.name for m in tags if m.size_bytes]
            if wanted and any(same_model(m.name, wanted[0]) for m in tags):
                yield _answer(client, wanted[0])
                client.unload(wanted[0])
            elif not wanted:
                yield Check("models", "fail", t("the server has no model", "服务器没有模型"), "python -m collector pull llama3.2:3b")
            yield from _others(engine, wanted, allowed=bool(experiment and experiment.engine.unload_others))
    finally:
        engine.stop()


def _ways(chosen: str, host: str | None, service: str | None) -> Iterator[Check]:
    """Every way to restart an engine: the chosen one has to work, the others are named with what they lack."""
    for way, found in engines.survey(host, service).items():
        used = t(", used", "，将使用") if way == chosen else ""
        outcome: Outcome = "ok" if found.status == "ok" else "fail" if used else "note"
        cure = t(found.cure_en, found.cure_zh or found.cure_en) if found.cure_en else None
        yield Check("restart", outcome, f'{way}{used}: {t(found.en, found.zh)}', cure)


def _others(engine: Engine, wanted: list[str], *, allowed: bool) -> Iterator[Check]:
    """What others hold in memory beside the engine."""
    for one in residents(engine, wanted):
        where = t("GPU memory", "显存") if one.on_gpu else t("memory", "内存")
        text = t(f"another server holds {one.named()} in {where}", f"其他服务器在{where}中保有 {one.named()}")
        if allowed:
            yield Check("other models", "note", text + t("; it will be unloaded", "；测量前将卸载"))
        else:
            yield Check("other models", "fail" if one.on_gpu and engine.name != "pocket" else "note", text, t(
                f"ollama stop {one.model}, or unload_others = true under [engine]",
                f"运行 ollama stop {one.model}，或在 [engine] 中设置 unload_others = true",
            ))  # fmt: skip
    if names := orphans():
        text = t(f"left behind by an Ollama that was killed: {', '.join(names)}", f"被终止的 Ollama 遗留：{'、'.join(names)}")
        yield Check("other models", "note", text, t("end them before measuring", "测量前请先结束它们"))
    if names := gpu_strangers(engine):
        yield Check("GPU processes", "note", ", ".join(names), t("end them before measuring", "测量前请先结束它们"))


def _calibration(store: Store) -> dict[str, tuple[Factor, ...]]:
    if store.state() != "current":
        return {}
    fingerprint = machine_fingerprint()
    return factors(store, fingerprint.machine_id, [gpu.uuid for gpu in fingerprint.gpus])


def _sensors(store: Store, experiment: Experiment | None) -> Iterator[Check]:
    calibrations = _calibration(store)
    found = probe(experiment.telemetry.meter if experiment else None, calibrations)
    for sensor in dict.fromkeys(c.sensor for c in found):
        rows = [c for c in found if c.sensor == sensor]
        works = [c for c in rows if c.status == "ok"]
        if works:
            fields = ", ".join(c.field for c in works)
            yield Check("sensor", "ok", f"{sensor}: {fields} ({'; '.join(dict.fromkeys(c.source for c in works))})")
        for row in {c.reason: c for c in rows if c.status != "ok"}.values():
            why = t(row.reason or "", row.reason_zh or row.reason or "")
            cure = t(row.cure, row.cure_zh or row.cure) if row.cure else None
            asked_for = row.tier == "wall" and not works  # by the experiment: it would not start
            yield Check("sensor", "fail" if asked_for else "note", f"{sensor}: {row.field}: {row.status}, {why}", cure)
    for sensor, devices in calibrations.items():
        for factor in devices:
            yield Check("calibration", "ok", t(
                f"{Device(sensor, factor.device)}: gain {factor.gain:.4f} ± {factor.gain_uncertainty:.1%}",
                f"{Device(sensor, factor.device)}：增益 {factor.gain:.4f} ± {factor.gain_uncertainty:.1%}",
            ))  # fmt: skip
    if not any(c.status == "ok" and c.tier not in (None, "estimated") for c in found):
        yield Check(
            "energy",
            "note",
            t(
                "no energy sensor: energy is estimated from CPU time and ratings stay provisional",
                "没有能量传感器：能耗由 CPU 时间估算，评级为暂定",
            ),
            t(
                "an NVIDIA GPU, readable RAPL counters or a wall meter gives measured energy",
                "NVIDIA GPU、可读的 RAPL 计数器或墙插电表可提供实测能耗",
            ),
        )


def _quality() -> Iterator[Check]:
    for language, name in (*DEFAULTS.items(), ("en", POCKET), ("zh", POCKET)):
        found = locate(name)
        if found is None:
            text = t(f"{language}: {name} is not on this machine, its answers stay unscored (no_checkpoint)",
                     f"{language}：本机没有 {name}，相应回答不评分（no_checkpoint）")  # fmt: skip
            yield Check("checkpoint", "note", text, download_hint({language: name}))
        else:
            demo = t(", demonstration only", "，仅供演示") if name == POCKET else ""
            yield Check("checkpoint", "ok", f"{language}: {found.label}{demo}")
    if importlib.util.find_spec("torch"):
        import torch

        device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
        yield Check("scoring device", "ok", device)


def _sandbox() -> Iterator[Check]:
    holds = available()
    if holds is not None:
        yield Check("sandbox", "ok", f"{holds.backend}: {t(holds.summary_en, holds.summary_zh)}")
        return
    for report in prove():
        yield Check("sandbox", "note", f"{report.backend}: {t(report.summary_en, report.summary_zh)}")
    yield Check(
        "sandbox",
        "note",
        t(
            "no sandbox holds here: code answers stay unscored (no_sandbox)",
            "本机没有可靠的沙箱：代码回答不评分（no_sandbox）",
        ),
        t(*sandbox_cure()),
    )


def _disk(store: Store, experiment: Experiment | None) -> Iterator[Check]:
    """Room for the database and for models, and whether logs can be kept."""
    folder, free = free_bytes(store.path.parent)
    low = free < _LOW_DISK_BYTES
    text = t(f"{free / 1e9:.1f} GB free at {folder}", f"{folder} 剩余 {free / 1e9:.1f} GB")
    if experiment:
        room = room_for_answers(store.path, planned_answers(experiment))
        low, text = not room.fits, t(*room.sentences())
    yield Check("disk", "fail" if low else "ok", text, t("free some space before measuring", "测量前请先清理空间") if low else None)
    models = find_models()
    if models:
        free = free_bytes(models)[1]
        writable = os.access(models / "blobs", os.W_OK)
        yield Check("model folder", "ok", t(f"{free / 1e9:.1f} GB free at {models}", f"{models} 剩余 {free / 1e9:.1f} GB") + (
            "" if writable else t(" (read only: pulling is left to its own server)", "（只读：下载由其自己的服务器完成）")))  # fmt: skip
    logs = engines.log_folder()
    if os.access(free_bytes(logs)[0], os.W_OK):
        yield Check("log folder", "ok", str(logs))
    else:
        yield Check("log folder", "fail", t(f"{logs} cannot be written", f"无法写入 {logs}"),
                    t("make it writable for this user", "请让当前用户可以写入"))  # fmt: skip


def _store(store: Store) -> Iterator[Check]:
    state = store.state()
    said = {
        "missing": t("will be made at the first measurement", "首次测量时创建"), "empty": t("empty", "空"),
        "current": t("ready", "就绪"), "older": t("will be migrated at the next measurement", "下次测量时迁移"),
        "newer": t("written by a newer version", "由更新的版本写入"),
    }[state]  # fmt: skip
    yield Check("database", "fail" if state == "newer" else "ok", f"{store.path}: {said}",
                t("update this program", "请更新本程序") if state == "newer" else None)  # fmt: skip


def examine(store: Store, experiment: Experiment | None) -> Iterator[Check]:
    """Every check in turn; a check that cannot be made is itself a finding."""
    groups: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("python", _python), ("engine", lambda: _engine(experiment)), ("sensors", lambda: _sensors(store, experiment)), ("quality", _quality),
        ("sandbox", _sandbox), ("disk", lambda: _disk(store, experiment)), ("store", lambda: _store(store)),
    ]  # fmt: skip
    for name, group in groups:
        try:
            yield from group()
        except (CollectorError, StoreError) as error:
            yield Check(name, "fail", t(error.en, error.zh))
