"""A small but realistic store for tests of pages: invented machines, models and answers, written through ``db``.

``python -m tests.fakes.sample_store PATH [--factor N]`` writes one to look at.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from db import Store
from rating import Basket, Member, Scheme

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
GPU_COHORT = "AMD Ryzen 9 7950X | NVIDIA GeForce RTX 4090 450 W | linux | ollama 0.32 | gpu+cpu | counter"
POCKET_COHORT = "AMD Ryzen 9 7950X | no GPU | linux | pocket 0.1 | process | estimated"
SCHEME = "sample-1"
NIGHT, LIVE, DEMO = "night-20", "night-22", "quickstart-1"
LOADS, LANGUAGES, TASKS = ("short", "medium"), ("en", "zh"), ("qa", "summary")

# name: (model_base, family, parameters, quantization, J per token, tokens/s, mean quality, demo)
MODELS = {
    "llama3.2:3b-instruct-q4_K_M": ("llama3.2:3b-instruct", "llama", 3_212_749_888, "Q4_K_M", 0.9, 180.0, 0.66, False),
    "llama3.2:3b-instruct-q8_0": ("llama3.2:3b-instruct", "llama", 3_212_749_888, "Q8_0", 1.4, 131.0, 0.69, False),
    "gemma2:9b-instruct-q4_K_M": ("gemma2:9b-instruct", "gemma2", 9_241_705_984, "Q4_K_M", 2.6, 88.0, 0.81, False),
    "phi3:3.8b-mini-q4_0": ("phi3:3.8b-mini", "phi3", 3_821_079_552, "Q4_0", 1.1, 160.0, 0.52, False),
    "pocket-large": ("pocket-large", "llama", 8_100_000, "F32", 0.02, 210.0, 0.31, True),
}  # fmt: skip

PROMPTS = {
    "qa": {"en": "Which planet is closest to the sun?", "zh": "离太阳最近的行星是哪一颗？"},
    "summary": {
        "en": "Summarise in one sentence: The old bridge was closed for repairs last spring and reopened in June.",
        "zh": "用一句话概括：老桥去年春天因维修关闭，六月重新开放。",
    },
}
ANSWERS = {
    "qa": {"en": "Mercury is the closest planet to the sun.", "zh": "离太阳最近的行星是水星。"},
    "summary": {"en": "The bridge reopened in June after repairs.", "zh": "老桥维修后于六月重新开放。"},
}
HOSTILE = "<img src=x onerror=alert(1)> **bold** [link](https://example.org) $x^2$ :red[red]"


def configuration_id(model: str) -> str:
    """The identifier that the sample store gives a model."""
    return f"{model}#{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def build(path: Path, *, items: int = 16, repeats: int = 2, ratings: bool = True, samples_per_run: int = 24) -> Store:
    """Writes the whole sample store and returns it; equal arguments give equal contents."""
    store = Store(path)
    store.ensure()
    rng = np.random.default_rng(7)
    with store.write() as w:
        w.insert("machines", [_machine()])
        w.insert("campaigns", _campaigns())
        w.insert("configurations", [_configuration(model) for model in MODELS])
        w.insert("items", _items(items))
        w.insert("sensors", _sensors())
        w.insert("events", _events())
        w.insert("model_loads", _loads())
    runs = _runs(rng, items, repeats)
    with store.write() as w:
        w.insert("runs", runs)
        w.insert("cells", _cells(runs))
        w.insert_arrow("samples", _samples(rng, runs, samples_per_run))
        w.insert("qualities", [q for run in runs if (q := _quality(rng, run))])
        w.insert("scores", [s for run in runs[::3] for s in _scores(rng, run)])
        if ratings:
            w.insert("schemes", [{"scheme": SCHEME, "definition": _scheme(), "hash": "0f3a", "created_at": NOW}])
            w.insert("ratings", _ratings())
    return store


def _machine() -> dict[str, object]:
    fingerprint = {
        "cpu_model": "AMD Ryzen 9 7950X",
        "gpus": [{"name": "NVIDIA GeForce RTX 4090", "power_limit_w": 450}],
    }
    return {
        "machine_id": "machine-1", "cpu_model": "AMD Ryzen 9 7950X", "os_family": "linux", "fingerprint": fingerprint,
        "first_seen_at": NOW - timedelta(days=9),
    }  # fmt: skip


def _campaigns() -> list[dict[str, object]]:
    common = {
        "experiment_hash": "e1", "experiment_toml": 'models = ["llama3.2:3b"]\n', "packages": {"duckdb": "2.0.0"},
        "machine_id": "machine-1", "engine_environment": {"OLLAMA_NUM_PARALLEL": "1"}, "restart_way": "own child",
        "suite_version": "1",
    }  # fmt: skip
    start = NOW - timedelta(days=2)
    return [
        common | {"campaign_id": NIGHT, "name": "night", "engine": "ollama", "engine_version": "0.32.15",
                  "status": "finished", "started_at": start, "finished_at": start + timedelta(hours=5), "note": None},
        common | {"campaign_id": LIVE, "name": "night", "engine": "ollama", "engine_version": "0.32.15",
                  "status": "running", "started_at": NOW - timedelta(hours=1), "heartbeat_at": NOW, "note": None},
        common | {"campaign_id": DEMO, "name": "quickstart", "engine": "pocket", "engine_version": "0.1",
                  "status": "finished", "started_at": NOW - timedelta(days=5),
                  "finished_at": NOW - timedelta(days=5) + timedelta(minutes=3), "note": None},
    ]  # fmt: skip


def _configuration(model: str) -> dict[str, object]:
    base, family, parameters, quantization, *_, demo = MODELS[model]
    return {
        "configuration_id": configuration_id(model), "model": model, "model_base": base, "family": family,
        "digest": hashlib.sha256(model.encode()).hexdigest(), "parameter_count": parameters,
        "quantization": quantization, "context_length": 4096, "options": {"temperature": 0.7, "num_ctx": 4096},
        "engine": "pocket" if demo else "ollama", "engine_version": "0.1" if demo else "0.32.15",
        "model_size_bytes": int(parameters * {"Q4_K_M": 0.6, "Q4_0": 0.58, "Q8_0": 1.06}.get(quantization, 4.0)), "demo": demo, "first_seen_at": NOW - timedelta(days=5),
    }  # fmt: skip


def _loads() -> list[dict[str, object]]:
    """One load of every model on the GPU; for ``phi3`` nobody knew the idle power without the model."""
    found = []
    for number, (model, (_, _, _, _, joules, *_, demo)) in enumerate(MODELS.items()):
        if not demo:
            found.append({
                "load_id": f"load-{number}", "campaign_id": NIGHT, "machine_id": "machine-1", "cohort": GPU_COHORT,
                "configuration_id": configuration_id(model), "cause": "case", "loaded_at": NOW - timedelta(days=2),
                "load_s": 2.0 + number, "energy_j": 900.0 * joules, "energy_net_j": 700.0 * joules,
                "energy_low_j": 855.0 * joules, "energy_high_j": 945.0 * joules, "energy_tier": "counter",
                "energy_scope": "gpu+cpu", "flags": [], "loaded_idle_power_w": 38.0 + number,
                "unloaded_idle_power_w": None if model.startswith("phi3") else 30.0, "vram_bytes": 3_500_000_000,
            })  # fmt: skip
    return found


def _items(count: int) -> list[dict[str, object]]:
    return [
        {"item_hash": f"{task}-{language}-{n:02d}-hash", "item": f"{task}-{language}-{n:02d}", "task": task,
         "load": LOADS[n % 2], "language": language, "prompt": PROMPTS[task][language],
         "reference": ANSWERS[task][language], "payload": {}, "suite": "sample", "suite_version": "1"}
        for task in TASKS for language in LANGUAGES for n in range(count)
    ]  # fmt: skip


def _sensors() -> list[dict[str, object]]:
    rows = []
    for campaign in (NIGHT, LIVE):
        for sensor, field, source, unit, scope, tier, status, reason, cure in (
            ("nvml", "gpu_energy_j", "total energy counter", "J", "gpu", "counter", "ok", None, None),
            ("rapl", "cpu_energy_j", "powercap", "J", "cpu", "counter", "denied", "energy_uj is readable by root only",
             "sudo chmod a+r /sys/class/powercap/*/energy_uj"),
            ("psutil", "cpu_percent", "psutil.cpu_percent", "%", "machine", None, "ok", None, None),
            ("meter", "machine_power_w", "local HTTP", "W", "machine", "wall", "missing", "no wall meter is named", None),
        ):  # fmt: skip
            rows.append({
                "machine_id": "machine-1", "campaign_id": campaign, "sensor": sensor, "field": field, "source": source,
                "unit": unit, "scope": scope, "tier": tier, "status": status, "reason": reason, "cure": cure,
                "update_period_s": 0.02 if sensor == "nvml" else None, "probed_at": NOW,
            })  # fmt: skip
    return rows


def _events() -> list[dict[str, object]]:
    names = [("fault", "hang_first_token", "60 s without a token"), ("restart", "engine", "own child, 0.1 s"),
             ("fault", "http_500", "llama runner process has terminated"), ("note", "cooldown", "12 s to 45 C")]  # fmt: skip
    return [
        {"event_id": f"event-{n}", "at": NOW - timedelta(minutes=4 * n), "campaign_id": LIVE, "run_id": None,
         "kind": kind, "name": name, "detail": detail}
        for n, (kind, name, detail) in enumerate(names)
    ]  # fmt: skip


def _runs(rng: np.random.Generator, items: int, repeats: int) -> list[dict[str, object]]:
    runs: list[dict[str, object]] = []
    for model, (*_, demo) in MODELS.items():
        campaign = DEMO if demo else NIGHT
        count = 4 if model.startswith("phi3") else items
        for task in TASKS:
            for language in LANGUAGES:
                for n in range(count):
                    for repeat in range(repeats):
                        runs.append(_run(rng, len(runs), campaign, model, task, language, n, repeat))
    live = [dict(run, campaign_id=LIVE, run_id=f"live-{n:05d}", cell_id=f"live-cell-{n:05d}",
                 started_at=NOW - timedelta(minutes=40) + timedelta(seconds=20 * n)) for n, run in enumerate(runs[:40:2])]  # fmt: skip
    return runs + live


def _run(rng: np.random.Generator, number: int, campaign: str, model: str, task: str, language: str, n: int,
         repeat: int) -> dict[str, object]:  # fmt: skip
    _, _, _, _, j_per_token, rate, _, demo = MODELS[model]
    tokens = int(rng.integers(30, 90) * (1 if task == "qa" else 2.2))
    ttft = float(rng.normal(0.12, 0.01)) * (0.3 if demo else 1)
    decode = tokens / rate * float(rng.normal(1, 0.03))
    energy = j_per_token * tokens * float(rng.lognormal(0, 0.08))
    chunks = ttft + np.linspace(0, decode, tokens)
    item, flags = f"{task}-{language}-{n:02d}", []
    if number % 17 == 5:
        flags = ["client_lag"]
    if number % 41 == 11:
        flags = ["throttled"]
    run: dict[str, object] = {
        "run_id": f"run-{number:05d}", "cell_id": f"cell-{number:05d}", "campaign_id": campaign,
        "configuration_id": configuration_id(model), "machine_id": "machine-1",
        "cohort": POCKET_COHORT if demo else GPU_COHORT, "task": task, "load": LOADS[n % 2], "language": language,
        "item": item, "item_hash": item + "-hash", "repeat": repeat, "attempt": 1, "seed": 42 + repeat,
        "temperature": 0.7, "max_output_tokens": 160,
        "started_at": NOW - timedelta(days=2) + timedelta(seconds=7 * number), "flags": flags,
        "prompt": PROMPTS[task][language], "reference": ANSWERS[task][language], "has_reference": True,
    }  # fmt: skip
    if number % 53 == 7:
        return run | {"status": "fault", "fault": "http_500", "fault_detail": "llama runner process has terminated",
                      "http_status": 500, "flags": ["http_500"], "energy_reason": "no answer"}  # fmt: skip
    return run | {
        "status": "ok", "done_reason": "stop", "http_status": 200,
        "output_text": HOSTILE if number % 29 == 3 else ANSWERS[task][language],
        "ttft_s": ttft, "ttft_answer_s": ttft, "total_s": ttft + decode, "server_total_s": ttft + decode - 0.002,
        "load_s": 0.01, "queue_s": 0.0, "prefill_s": ttft * 0.9, "decode_s": decode, "prompt_tokens": 40,
        "cached_prompt_tokens": 0, "output_tokens": tokens, "prefill_tokens_per_s": 40 / (ttft * 0.9),
        "decode_tokens_per_s": tokens / decode, "throughput_tokens_per_s": tokens / (ttft + decode),
        "tpot_s": decode / tokens, "itl_p50_s": decode / tokens, "itl_p95_s": 1.3 * decode / tokens,
        "client_lag_p50_s": 0.0004, "client_lag_p99_s": 0.006 if "client_lag" in flags else 0.001,
        "server_raw": {"eval_count": tokens, "done": True}, "chunk_t_s": chunks.tolist(), "chunk_chars": [3] * tokens,
        "energy_j": energy, "energy_net_j": energy * 0.8, "energy_low_j": energy * 0.94, "energy_high_j": energy * 1.06,
        "energy_tier": "estimated" if demo else "counter", "energy_scope": "process" if demo else "gpu+cpu",
        "energy_sources": {"estimate.cpu_s": energy} if demo else {"nvml.counter_j": energy * 0.85,
                                                                   "nvml.integral_j": energy * 0.86,
                                                                   "rapl.counter_j": energy * 0.15},
        "cpu_energy_j": energy if demo else energy * 0.15, "gpu_energy_j": None if demo else energy * 0.85,
        "energy_prefill_j": energy * 0.2, "energy_decode_j": energy * 0.8, "baseline_power_w": 4.0 if demo else 28.0,
        "cpu_percent_mean": 40.0, "cpu_percent_max": 71.0, "memory_bytes_mean": 2.1e9, "memory_bytes_max": 2.2e9,
        "power_w_mean": energy / (ttft + decode), "power_w_max": 1.4 * energy / (ttft + decode),
        "gpu_percent_mean": None if demo else 93.0, "gpu_percent_max": None if demo else 98.0,
        "vram_bytes_mean": None if demo else 3.4e9, "vram_bytes_max": None if demo else 3.5e9,
        "disk_read_bytes": 1_200_000, "disk_write_bytes": 40_000, "sample_count": 24, "sample_coverage": 0.998,
        "sample_jitter_p99_s": 0.0012,
    }  # fmt: skip


def _cells(runs: list[dict[str, object]]) -> list[dict[str, object]]:
    fields = ("cell_id", "campaign_id", "task", "load", "language", "item", "item_hash", "repeat", "seed")
    cells = [
        {name: run[name] for name in fields}
        | {"position": n, "model": str(run["configuration_id"]).rsplit("#", 1)[0], "attempts": 1,
           "state": "done" if run["status"] == "ok" else "failed", "reason": run.get("fault")}
        for n, run in enumerate(runs)
    ]  # fmt: skip
    planned = [dict(cell, cell_id=f"planned-{n:05d}", campaign_id=LIVE, state="planned", attempts=0, reason=None,
                    position=len(cells) + n) for n, cell in enumerate(cells[40:100])]  # fmt: skip
    return cells + planned


def _samples(rng: np.random.Generator, runs: list[dict[str, object]], count: int) -> pa.Table:
    answered = [run for run in runs if run["status"] == "ok"]
    t = np.concatenate([np.linspace(0, float(run["total_s"]), count) for run in answered])  # type: ignore[arg-type]
    power = np.repeat([float(run["power_w_mean"]) for run in answered], count)  # type: ignore[arg-type]
    wave = 1 + 0.25 * np.tanh((t - 0.15) * 6) + rng.normal(0, 0.04, len(t))
    gpu = np.repeat([run["gpu_percent_mean"] is not None for run in answered], count)
    return pa.table({
        "run_id": np.repeat([str(run["run_id"]) for run in answered], count),
        "t_s": t, "power_w": power * wave, "cpu_percent": 38 + 8 * rng.random(len(t)),
        "process_cpu_percent": 160 + 30 * rng.random(len(t)), "memory_percent": np.full(len(t), 31.0),
        "memory_bytes": np.full(len(t), 2_100_000_000.0), "gpu_percent": np.where(gpu, 90 + 6 * rng.random(len(t)), np.nan),
        "vram_bytes": np.where(gpu, 3.4e9, np.nan), "temperature_c": np.where(gpu, 55 + 2 * t, np.nan),
    })  # fmt: skip


def _quality(rng: np.random.Generator, run: dict[str, object]) -> dict[str, object] | None:
    if run["status"] != "ok":
        return None
    mean = MODELS[str(run["configuration_id"]).rsplit("#", 1)[0]][6]
    row: dict[str, object] = {"run_id": run["run_id"], "flags": [], "scorer_version": "s1", "scored_at": NOW}
    if run["task"] == "summary" and str(run["run_id"]).endswith("9"):
        return row | {"quality": None, "quality_reason": "no_checkpoint"}
    value = float(np.clip(rng.normal(mean, 0.12), 0, 1))
    return row | {
        "quality": value, "factuality": value, "relevance": min(1.0, value + 0.05), "fluency": 0.9,
        "bartscore": -3 + 2 * value, "passed": value > 0.5, "checkpoint": "facebook/bart-large-cnn",
    }  # fmt: skip


def _scores(rng: np.random.Generator, run: dict[str, object]) -> list[dict[str, object]]:
    if run["status"] != "ok":
        return []
    return [
        {"run_id": run["run_id"], "metric": "bartscore", "direction": direction, "raw": -3 + float(rng.random()),
         "value": float(rng.random()), "checkpoint": "facebook/bart-large-cnn", "floor": 0.2, "scored_at": NOW}
        for direction in ("src_hyp", "ref_hyp", "hyp_ref")
    ]  # fmt: skip


def _scheme() -> dict[str, object]:
    basket = Basket("sample", tuple(Member(model, MODELS[model][3]) for model in list(MODELS)[:3]))
    return Scheme(SCHEME, baskets=(basket,), weights=(("qa", 0.5), ("summary", 0.5))).definition()


# model, status, letter, probability, range, EEI, J per success, quality, class, reasons
_RATED = (
    ("llama3.2:3b-instruct-q4_K_M", "rated", "C", 0.96, "C", "C", 0.44, 96.0, 0.66, "C", ()),
    ("llama3.2:3b-instruct-q8_0", "provisional", "D", 0.71, "C", "D", 0.68, 148.0, 0.69, "C", ("uncertain_grade",)),
    ("gemma2:9b-instruct-q4_K_M", "rated", "E", 0.93, "D", "E", 1.31, 287.0, 0.81, "B", ()),
    ("phi3:3.8b-mini-q4_0", "unrated", None, None, None, None, 0.71, 155.0, 0.52, "D", ("too_few_items",)),
    ("pocket-large", "provisional", "B", 0.88, "A", "C", 0.21, 5.1, 0.31, "E", ("energy_estimated", "own_basket")),
)
_REASONS = {
    "uncertain_grade": ("the letter has a probability of 71 %, 90 % is needed", "该等级的概率为 71%，需要达到 90%"),
    "too_few_items": ("8 items, 30 are needed", "只有 8 道题，需要 30 道"),
    "energy_estimated": ("the energy is estimated, not measured", "能耗是估算值而非实测"),
    "own_basket": ("the reference is this data's own", "参照对象是本数据自己的配置"),
}


def _ratings() -> list[dict[str, object]]:
    rows = []
    for task, factor in (("qa", 1.0), ("summary", 1.9), ("overall", 1.4)):
        for rank, (model, status, grade, p, low, high, eei, x, quality, q_class, reasons) in enumerate(_RATED, 1):
            if task == "overall" and status == "unrated":
                eei = x = math.nan
            config = _configuration(model)
            rows.append({
                "rated_at": NOW, "input_hash": f"{task}-{rank}", "scheme": SCHEME, "campaign_id": NIGHT,
                "cohort": POCKET_COHORT if config["demo"] else GPU_COHORT, "task": task,
                "configuration": configuration_id(model), "status": status, "grade": grade, "grade_probability": p,
                "grade_low": low, "grade_high": high, "eei": eei, "eei_low": eei * 0.86, "eei_high": eei * 1.17,
                "joules_per_success": x * factor, "joules_per_success_low": x * factor * 0.86,
                "joules_per_success_high": x * factor * 1.17, "eqr_per_kj": 1000 / (x * factor), "quality": quality,
                "quality_low": quality - 0.05, "quality_high": quality + 0.05, "quality_class": q_class,
                "energy_j": x * factor * quality, "n_items": 8 if status == "unrated" else 32, "n_repeats": 2.0,
                "rank_low": rank, "rank_high": min(rank + 1, 5),
                "reasons": [{"code": c, "text": _REASONS[c][0], "text_zh": _REASONS[c][1]} for c in reasons],
                "items_needed": 22 if status == "unrated" else None,
            } | {k: config[k] for k in ("model", "digest", "family", "parameter_count", "quantization",
                                        "context_length", "engine", "engine_version")})  # fmt: skip
    return rows


def enlarge(store: Store, factor: int) -> None:
    """Repeats every run of the store with its samples and quality until there are ``factor`` times as many."""
    with store.write() as w:
        for table in ("samples", "qualities", "runs"):
            w.execute(
                f"INSERT INTO {table} SELECT old.* REPLACE (old.run_id || '-' || copy.n AS run_id) "  # noqa: S608
                f"FROM {table} AS old, range(1, ?) AS copy(n)",
                [factor],
            )


def main() -> None:
    """Writes a store to look at."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--factor", type=int, default=1, help="how many times every run is stored")
    args = parser.parse_args()
    enlarge(build(args.path, items=args.items, repeats=args.repeats), args.factor)


if __name__ == "__main__":
    main()
