"""What an experiment would cost and bring, said before it is measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from collector import engines
from collector.disk import RUN_BYTES, room_for_answers
from collector.engines.others import residents
from collector.errors import CollectorError
from collector.experiment import Experiment
from collector.i18n import t
from collector.ollama_client import OllamaClient
from collector.plan import Case, build_cases, check_contexts, experiment_suite
from collector.pocket import registry
from collector.pulling import missing_models
from db import Store

__all__ = ["CaseEstimate", "Estimate", "estimate"]

MIN_ITEMS = 30  # a letter needs so many different items of a task (the rating's default)
_RESTART_S = 5.0
_WINDOW_S = 5.0  # at 100 ms of uncertainty per edge the timing part is then below 2 %
# Without any measured answer of a model: a mid-size model on one GPU, about 40 tokens/s, cap half used.
_ASSUMED_TOKENS_PER_S = 40.0


@dataclass(frozen=True, slots=True)
class CaseEstimate:
    """One model × task × load of the plan."""

    model: str
    task: str
    load: str
    items: int
    repeats: int
    answers: int
    seconds: float
    seconds_from: str
    """``measured`` from this database's answers of the model, else ``assumed``."""
    letter: str
    resolvable: bool | None = None
    """Whether one answer's energy is expected to be resolved within 10 %; None where none was measured here."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole plan."""

    name: str
    cells: int
    cases: list[CaseEstimate]
    seconds: float
    disk_bytes: int
    basis: str
    engine: str | None
    engine_fit: bool
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return asdict(self)


def _answers_before(store: Store, model: str, load: str) -> tuple[float | None, bool | None]:
    """Median seconds of an answer measured on its own here, and whether most of them could be resolved."""
    if store.state() != "current":
        return None, None
    rows = store.query(
        "SELECT median(total_s) AS s, avg(CAST(list_contains(string_split(flags, ','), 'not_resolvable') AS DOUBLE)) AS lost"
        " FROM v_runs WHERE model = ? AND load = ? AND status = 'ok' AND batch_id IS NULL AND energy_j IS NOT NULL",
        [model, load],
    )
    if rows.s.isna()[0]:
        return None, None
    return float(rows.s[0]), bool(rows.lost[0] <= 0.5)


def _letter(task_items: int, models: int, has_basket: bool) -> tuple[str, str | None]:
    """What can come of it, and why not more."""
    if task_items < MIN_ITEMS:
        return t("no", "否"), t(f"only {task_items} items of the task, a letter needs {MIN_ITEMS}",
                                f"该任务只有 {task_items} 道题，等级需要 {MIN_ITEMS} 道")  # fmt: skip
    if models < 3 and not has_basket:
        return t("needs a basket", "需要参照组"), t("fewer than 3 models and no basket of their own: a letter comes only if the basket's models were measured on this machine",
                                              "少于 3 个模型且未声明参照组：只有参照模型已在本机测过才有等级")  # fmt: skip
    return t("yes", "可以"), None


def _models_fit(experiment: Experiment) -> tuple[str | None, bool, list[str]]:
    """Engine that would answer, whether it has every model, and what is missing."""
    try:
        found = engines.probe(experiment.engine.kind, experiment.engine.host)
    except CollectorError as error:
        return None, False, [t(error.en, error.zh)]
    tags = [m.tag for m in experiment.models]
    if found.name == "pocket":
        have = registry()
        missing = [tag for tag in tags if tag not in have]
        cure = t(f"it has: {', '.join(have)}", f"可用：{'、'.join(have)}")
    elif found.url is None:
        return found.name, True, []
    else:
        with OllamaClient(found.url) as client:
            missing = missing_models(client, tags)
        command = "python -m collector pull " + " ".join(missing)
        cure = t(f"get them with: {command}", f"获取命令：{command}")
    if not missing:
        return found.name, True, []
    names = ", ".join(missing)
    return (
        found.name,
        False,
        [t(f"Missing on the {found.name} engine: {names}; {cure}", f"{found.name} 引擎缺少：{names}；{cure}")],
    )


def estimate(experiment: Experiment, source: str, store: Store) -> Estimate:
    """Plans without measuring.

    Raises:
        ExperimentError: the file asks for what cannot be.
    """
    suite = experiment_suite(experiment, source)
    cases = build_cases(experiment, suite)
    check_contexts(experiment, cases, source)
    engine, fit, notes = _models_fit(experiment)
    planned = [_case(experiment, case, cases, store, notes) for case in cases]
    measured = all(c.seconds_from == "measured" for c in planned)
    cells = sum(c.answers for c in planned)
    notes += _surroundings(experiment, store, cells, engine)
    basis = (
        t("from answers measured here", "依据本机已测回答")
        if measured
        else t("partly assumed: 40 tokens/s", "部分为假设：40 token/秒")
    )
    return Estimate(
        experiment.name, cells, planned, sum(c.seconds for c in planned), cells * RUN_BYTES, basis, engine, fit, notes
    )


def _surroundings(experiment: Experiment, store: Store, cells: int, engine: str | None) -> list[str]:
    """What stands in the way here and now: the disk, and models that others hold in memory."""
    notes = []
    room = room_for_answers(store.path, cells)
    if not room.fits or room.low:
        notes.append(t(*room.sentences()))
    if engine == "ollama" and not experiment.engine.unload_others:
        own = {model.tag for model in experiment.models}
        names = ", ".join(one.named() for one in residents(None, []) if one.on_gpu and one.model not in own)
        if names:
            notes.append(t(f"Other servers hold models in GPU memory: {names}; stop them, or set unload_others = true under [engine]",
                           f"其他服务器占用显存：{names}；请停止这些模型，或在 [engine] 中设置 unload_others = true"))  # fmt: skip
    return notes


def _case(experiment: Experiment, case: Case, cases: list[Case], store: Store, notes: list[str]) -> CaseEstimate:
    items = {c.item.hash for c in case.cells}
    task_items = {
        c.item.hash for other in cases if other.task == case.task and other.model == case.model for c in other.cells
    }
    each, resolvable = _answers_before(store, case.model.tag, case.load)
    seconds = each if each is not None else experiment.generation.cap(case.load) / 2 / _ASSUMED_TOKENS_PER_S
    letter, why = _letter(len(task_items), len(experiment.models), bool(experiment.rating.basket))
    if why and why not in notes:
        notes.append(why)
    if resolvable is False:
        notes.append(_batch_note(experiment, case, seconds))
    return CaseEstimate(
        case.model.tag, case.task, case.load, len(items), experiment.repeats, len(case.cells),
        round(seconds * len(case.cells) + _protocol_s(experiment, len(case.cells)), 1),
        "measured" if each is not None else "assumed", letter, resolvable,
    )  # fmt: skip


def _protocol_s(experiment: Experiment, answers: int) -> float:
    """What the protocol waits in one case; cooling is not foreseen."""
    protocol = experiment.protocol
    every = protocol.value("spot_every")
    spots = protocol.value("spot_s") * (answers // every + 1) if every else 0.0
    idle = protocol.value("baseline_s") + protocol.value("unloaded_s")
    return _RESTART_S + idle + spots + protocol.value("tail_s")


def _batch_note(experiment: Experiment, case: Case, seconds: float) -> str:
    """Answers that end too soon for the sensors, and the batch that would be long enough."""
    window_s = experiment.protocol.value("batch_s") or _WINDOW_S
    need = math.ceil(window_s / max(seconds, 1e-3))
    name = f"{case.model.tag} · {case.task} · {case.load}"
    cure_en, cure_zh = [], []
    if not experiment.protocol.value("batch_s"):
        cure_en.append(f"batch_s = {_WINDOW_S:g} in [protocol]")
        cure_zh.append(f"在 [protocol] 中设置 batch_s = {_WINDOW_S:g}")
    if need > experiment.repeats:
        cure_en.append(f"repeats = {need}")
        cure_zh.append(f"设置 repeats = {need}")
    if not cure_en:
        return t(f"{name}: answers of about {seconds:.2f} s are too short to resolve one by one; batches of {need} will do",
                 f"{name}：约 {seconds:.2f} 秒的单个回答过短，能耗无法分辨；将以每批 {need} 个连续测量")  # fmt: skip
    return t(f"{name}: answers of about {seconds:.2f} s are too short to resolve their energy within 10 %; "
             f"set {' and '.join(cure_en)} to measure repeats back to back",
             f"{name}：回答约 {seconds:.2f} 秒，过短，能耗无法分辨到 10%；请{'并'.join(cure_zh)}，把重复连续成批测量")  # fmt: skip
