"""The experiment file: TOML in, one validated, frozen :class:`Experiment` out.

Only ``models`` is required; everything else has the default written here. A mistake ends in one
:class:`~collector.errors.ExperimentError` that names the file, the table, the field and the cure.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from collector.errors import ExperimentError, UsageError
from collector.experiment_errors import Mistake, explain
from collector.ollama_types import check_options
from collector.telemetry.meter import parse_meter

__all__ = [
    "LOADS", "EngineTable", "Experiment", "Generation", "ModelEntry", "Protocol", "Quality", "RatingTable",
    "Schedule", "Telemetry", "load_experiment", "parse_experiment",
]  # fmt: skip

LOADS = ("short", "medium", "long")
Load = Literal["short", "medium", "long"]
Language = Literal["zh", "en"]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class _Table(BaseModel):
    """Tables are frozen, take no unknown key and convert no types (``"5"`` is not 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelEntry(_Table):
    """One model: its tag, and options that only it gets."""

    tag: Name
    options: dict[str, float | int | bool | str | list[str]] = Field(default_factory=dict)
    model_base: Name | None = None
    """The model without its quantization, where ``/api/show`` does not tell it."""

    @field_validator("options")
    @classmethod
    def _known_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            check_options(options)
        except UsageError as error:  # pydantic collects ValueErrors, and the client would refuse only in mid-campaign
            raise Mistake(error.en, error.zh) from error
        return options


class EngineTable(_Table):
    """Which engine answers and how it is restarted."""

    kind: Literal["auto", "ollama", "pocket"] = "auto"
    host: Name | None = None
    """``http://127.0.0.1:11434`` or ``127.0.0.1:11434``; None takes OLLAMA_HOST, then the default port."""
    way: Literal[
        "auto", "own_child", "attached", "systemd", "docker", "brew", "macos_app", "windows_app", "pocket_child"
    ] = "auto"
    service: Name | None = None
    """Name of the systemd unit, container or brew service that is restarted; None is ``ollama``."""
    unload_others: bool = False
    """Whether models that other Ollama servers of this machine hold in memory may be unloaded."""

    @property
    def chosen_way(self) -> str | None:
        """The way that the file names, None where it leaves it to us."""
        return None if self.way == "auto" else self.way


class Generation(_Table):
    """Options that are sent with every request, the same for all models."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 0.7
    num_ctx: Annotated[int, Field(ge=64, le=10_000_000)] = 4096
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 42
    think: bool | Literal["low", "medium", "high"] = False
    top_k: Annotated[int, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_output_tokens: dict[Load, Annotated[int, Field(ge=1, le=100_000)]] = Field(default_factory=dict)

    def cap(self, load: str) -> int:
        """Output cap of a load in tokens (default 160 / 640 / 2048)."""
        own = {str(name): cap for name, cap in self.max_output_tokens.items()}
        return {"short": 160, "medium": 640, "long": 2048, **own}[load]

    def options(self) -> dict[str, float | int]:
        """The options that belong to a configuration (the cap belongs to the load, the seed to the repeat)."""
        chosen: dict[str, float | int] = {"temperature": self.temperature}
        if self.top_k is not None:
            chosen["top_k"] = self.top_k
        if self.top_p is not None:
            chosen["top_p"] = self.top_p
        return chosen


class Telemetry(_Table):
    """Sampling rates, the stated assumption of the estimate, a wall meter."""

    rate_hz: Annotated[float, Field(gt=0, le=50)] = 10.0
    gpu_rate_hz: Annotated[float, Field(gt=0, le=20)] = 20.0
    watts_per_core: Annotated[float, Field(gt=0, le=200)] | None = None
    meter: Name | None = None
    """A wall meter in the local network: ``shelly:192.168.1.20``, ``tasmota:192.168.1.21``."""

    @field_validator("meter")
    @classmethod
    def _local_meter(cls, meter: str | None) -> str | None:
        if meter is not None:
            try:
                parse_meter(meter)
            except UsageError as error:  # the field is named before it
                raise Mistake(error.en.removeprefix("meter "), error.zh.removeprefix("电表 ")) from error
        return meter


class Protocol(_Table):
    """Durations of one case; ``profile`` sets them all, single fields override it."""

    profile: Literal["standard", "quick"] = "standard"
    warmup_min: Annotated[int, Field(ge=0, le=20)] | None = None
    warmup_max: Annotated[int, Field(ge=0, le=50)] | None = None
    baseline_s: Annotated[float, Field(ge=0, le=600)] | None = None
    tail_s: Annotated[float, Field(ge=0, le=60)] | None = None
    unloaded_s: Annotated[float, Field(ge=0, le=600)] | None = None
    """Idle power before a model's first load; 0 leaves it out."""
    spot_every: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Answers between two short checks of the baseline; 0 leaves them out."""
    spot_s: Annotated[float, Field(ge=1.5, le=60)] | None = None
    cooldown_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Longest wait before a case until the GPUs are within ``cooldown_delta_c`` of their reference temperature."""
    cooldown_delta_c: Annotated[float, Field(ge=0, le=50)] | None = None
    memory_wait_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Longest wait before a load until GPU memory is back at its baseline."""
    batch_s: Annotated[float, Field(ge=0, le=600)] | None = None
    """Repeats of one item are asked back to back until their window lasts so long; 0 measures each on its own."""
    park_after: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Cells in a row without an answer after which a model is left for the rest of the campaign."""
    load_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    first_token_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    stall_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    answer_timeout_s: Annotated[float, Field(gt=0)] = 1800.0
    attempts: Annotated[int, Field(ge=1, le=10)] = 3

    def value(self, field: str) -> float:
        """A duration or count of the profile, unless the file sets it; without a baseline nothing idle is measured."""
        if field in ("unloaded_s", "spot_every") and self.baseline_s == 0 and getattr(self, field) is None:
            return 0.0
        own = getattr(self, field)
        return float(own) if own is not None else _PROFILES[self.profile][field]


_ALWAYS: dict[str, float] = {"spot_s": 2.0, "cooldown_delta_c": 3.0, "batch_s": 0.0, "park_after": 3}
_PROFILES: dict[str, dict[str, float]] = {
    "standard": _ALWAYS | {
        "warmup_min": 2, "warmup_max": 10, "baseline_s": 10.0, "tail_s": 2.0, "unloaded_s": 5.0, "spot_every": 10,
        "cooldown_s": 60.0, "memory_wait_s": 60.0,
    },
    "quick": _ALWAYS | {
        "warmup_min": 1, "warmup_max": 1, "baseline_s": 3.2, "tail_s": 0.2, "unloaded_s": 3.2, "spot_every": 0,
        "cooldown_s": 10.0, "memory_wait_s": 20.0,
    },
}  # fmt: skip


class Quality(_Table):
    """Scorer checkpoints per language and when answers are scored."""

    checkpoints: dict[Language, Name] = Field(default_factory=dict)
    download: bool = False
    when: Literal["case", "end", "never"] = "case"
    device: Name | None = None


class RatingTable(_Table):
    """The reference basket; empty takes the scheme's own."""

    basket: list[Name] = Field(default_factory=list)

    @field_validator("basket")
    @classmethod
    def _enough(cls, basket: list[str]) -> list[str]:
        if basket and len(basket) < 3:
            raise Mistake("a basket needs at least 3 models", "参照篮至少需要 3 个模型")
        return basket


class Schedule(_Table):
    """When ``collector serve`` starts the experiment."""

    cron: Name | None = None
    timezone: Name | None = None
    repeat: bool = False

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str | None) -> str | None:
        if cron is not None and len(cron.split()) != 5:
            raise Mistake('a cron time has five fields, e.g. "0 22 * * *" for every night at ten',
                          'cron 时间有五个字段，例如 "0 22 * * *" 表示每晚十点')  # fmt: skip
        return cron


class Data(_Table):
    """Where results go."""

    db: Name | None = None


class Experiment(_Table):
    """A whole experiment, validated."""

    name: Name = "experiment"
    models: Annotated[list[ModelEntry], Field(min_length=1)]
    engine: EngineTable = EngineTable()
    restart: Literal["per_case", "per_run", "per_model", "never"] = "per_case"
    pull: bool = False
    tasks: Annotated[list[Name], Field(min_length=1)] = ["qa"]
    loads: Annotated[list[Load], Field(min_length=1)] = ["short"]
    languages: Annotated[list[Language], Field(min_length=1)] = ["zh", "en"]
    items_per_cell: Annotated[int, Field(ge=1)] | None = None
    """At most so many items per task, load and language; None takes all."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    order: Literal["random", "sequential"] = "random"
    suite: list[Name] = Field(default_factory=list)
    item: list[dict[str, Any]] = Field(default_factory=list)
    generation: Generation = Generation()
    telemetry: Telemetry = Telemetry()
    protocol: Protocol = Protocol()
    quality: Quality = Quality()
    rating: RatingTable = RatingTable()
    schedule: Schedule = Schedule()
    data: Data = Data()

    @field_validator("models", mode="before")
    @classmethod
    def _tags(cls, models: object) -> object:
        if isinstance(models, list):
            return [{"tag": m} if isinstance(m, str) else m for m in models]
        return models

    @field_validator("engine", mode="before")
    @classmethod
    def _kind(cls, engine: object) -> object:
        return {"kind": engine} if isinstance(engine, str) else engine

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for field in ("tasks", "loads", "languages"):
            values = getattr(self, field)
            if len(set(values)) != len(values):
                raise Mistake(f"{field} names a value twice", f"{field} 中有重复的值")
        if self.protocol.batch_s and self.restart == "per_run":
            raise Mistake('batch_s asks for answers back to back, restart = "per_run" for a new process before each',
                          'batch_s 要求回答连续进行，而 restart = "per_run" 要求每个回答之前重启进程')  # fmt: skip
        tags = [(m.tag, json.dumps(m.options, sort_keys=True)) for m in self.models]
        if len(set(tags)) != len(tags):
            raise Mistake("models names a model twice with the same options", "models 中有两个选项相同的同名模型")
        return self

    def resolved(self) -> dict[str, Any]:
        """Every setting that is in force, as plain values without None."""
        return self.model_dump(mode="json", exclude_none=True)

    def hash(self) -> str:
        """16 hex digits of everything that makes two runs of the file the same experiment."""
        settings = self.resolved()
        settings.pop("data", None)
        text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_experiment(settings: dict[str, Any], source: str) -> Experiment:
    """Validates plain settings (of a file or of the command line).

    Args:
        settings: the tables as ``tomllib`` gives them.
        source: what the sentence names, usually the file.

    Raises:
        ExperimentError: naming source, table, field and cure.
    """
    try:
        return Experiment.model_validate(settings)
    except ValidationError as error:
        raise explain(error, source, Experiment) from error


def _beside(settings: dict[str, Any], folder: Path) -> None:
    """Relative item files and database lie beside the experiment file."""
    if isinstance(settings.get("suite"), list):
        settings["suite"] = [str(folder / s) if isinstance(s, str) else s for s in settings["suite"]]
    data = settings.get("data")
    if isinstance(data, dict) and isinstance(data.get("db"), str):
        settings["data"] = {**data, "db": str(folder / data["db"])}


def load_experiment(path: Path, overrides: dict[str, Any] | None = None) -> Experiment:
    """Reads and validates an experiment file; relative item files and database lie beside it.

    Raises:
        ExperimentError: the file is missing, unreadable, not TOML, or wrong in a field.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExperimentError(f"{path}: there is no such experiment file.", f"{path}：没有这个实验文件。") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read ({error}).", f"{path}：无法读取（{error}）。") from error
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path}: is not valid TOML: {error}.", f"{path}：不是有效的 TOML：{error}。") from error
    settings.setdefault("name", path.stem)
    _beside(settings, path.parent)
    for key, value in (overrides or {}).items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict):
            settings[key] = {**settings[key], **value}
        else:
            settings[key] = value
    return parse_experiment(settings, str(path))
