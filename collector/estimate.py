"""What an experiment would cost and bring, said before it is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from collector import engines
from collector.errors import CollectorError
from collector.experiment import Experiment
from collector.i18n import t
from collector.ollama_client import OllamaClient
from collector.plan import Case, build_cases, check_context, experiment_suite
from collector.pocket import registry
from collector.pulling import missing_models
from db import Store

__all__ = ["CaseEstimate", "Estimate", "estimate"]

MIN_ITEMS = 30  # a letter needs so many different items of a task (the rating's default)
_RUN_BYTES = 40_000  # database growth per answer, measured on stored campaigns at 10 Hz
_RESTART_S = 5.0
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


def _seconds_per_answer(store: Store, model: str, load: str) -> float | None:
    if store.state() != "current":
        return None
    rows = store.query(
        "SELECT median(total_s) AS s FROM v_runs WHERE model = ? AND load = ? AND status = 'ok'", [model, load]
    )
    value = rows.s[0]
    return None if value is None or value != value else float(value)


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
    for case in cases:
        num_ctx = int(case.model.options.get("num_ctx", experiment.generation.num_ctx))  # type: ignore[arg-type]
        check_context(experiment, [c.item for c in case.cells], num_ctx, source)
    engine, fit, notes = _models_fit(experiment)
    planned = [_case(experiment, case, cases, store, notes) for case in cases]
    measured = all(c.seconds_from == "measured" for c in planned)
    cells = sum(c.answers for c in planned)
    basis = (
        t("from answers measured here", "依据本机已测回答")
        if measured
        else t("partly assumed: 40 tokens/s", "部分为假设：40 token/秒")
    )
    return Estimate(
        experiment.name, cells, planned, sum(c.seconds for c in planned), cells * _RUN_BYTES, basis, engine, fit, notes
    )


def _case(experiment: Experiment, case: Case, cases: list[Case], store: Store, notes: list[str]) -> CaseEstimate:
    items = {c.item.hash for c in case.cells}
    task_items = {
        c.item.hash for other in cases if other.task == case.task and other.model == case.model for c in other.cells
    }
    each = _seconds_per_answer(store, case.model.tag, case.load)
    seconds = each if each is not None else experiment.generation.cap(case.load) / 2 / _ASSUMED_TOKENS_PER_S
    letter, why = _letter(len(task_items), len(experiment.models), bool(experiment.rating.basket))
    if why and why not in notes:
        notes.append(why)
    overhead = _RESTART_S + experiment.protocol.value("baseline_s") + experiment.protocol.value("tail_s")
    return CaseEstimate(
        case.model.tag, case.task, case.load, len(items), experiment.repeats, len(case.cells),
        round(seconds * len(case.cells) + overhead, 1), "measured" if each is not None else "assumed", letter,
    )  # fmt: skip
