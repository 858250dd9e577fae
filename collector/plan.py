"""The matrix: model × task × load, and in each case every item × repeat in seeded random order."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ExperimentError
from collector.experiment import Experiment, ModelEntry
from collector.suite import Item, Suite, load_suite, token_estimate

__all__ = ["Case", "Cell", "build_cases", "check_context", "check_contexts", "experiment_suite", "nonce", "planned_answers"]

# Room for the nonce line and the chat template's own marks, which the estimate of an item's text does not hold.
_TEMPLATE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer to be measured."""

    item: Item
    repeat: int
    seed: int

    def cell_id(self, campaign_id: str, model: str) -> str:
        """Stable id of the cell within its campaign."""
        text = f"{campaign_id}|{model}|{self.item.hash}|{self.repeat}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Case:
    """One model × task × load: measured in one go, after one restart of the engine."""

    model: ModelEntry
    task: str
    load: str
    cells: tuple[Cell, ...]

    @property
    def model_key(self) -> str:
        """The model and its options: the same tag with other options is another model."""
        return self.model.tag + json.dumps(self.model.options, sort_keys=True)


def experiment_suite(experiment: Experiment, source: str = "experiment") -> Suite:
    """The shipped suite plus the experiment's own items, cut to what the experiment asks for.

    Raises:
        ExperimentError: nothing is left, or a task is not known.
        ItemError: an own item is wrong.
    """
    suite = load_suite([Path(p) for p in experiment.suite])
    if experiment.item:
        suite = suite.with_items(Item.from_table(table, source) for table in experiment.item)
    known = sorted({item.task for item in suite.items})
    for task in experiment.tasks:
        if task not in known:
            raise ExperimentError(f"{source}: tasks names {task!r}, for which no item is there; known: {', '.join(known)}.",
                                  f"{source}：tasks 中的 {task!r} 没有任何题目；可用：{'、'.join(known)}。")  # fmt: skip
    chosen = suite.select(experiment.tasks, experiment.loads, experiment.languages, experiment.items_per_cell)
    if not chosen.items:
        raise ExperimentError(f"{source}: no item has one of these tasks, loads and languages.",
                              f"{source}：没有题目同时符合所选任务、负载与语言。")  # fmt: skip
    return chosen


def build_cases(experiment: Experiment, suite: Suite) -> list[Case]:
    """Every case of the experiment; the order inside a case is random but fixed by the seed."""
    cases: list[Case] = []
    for model in experiment.models:
        for task in experiment.tasks:
            for load in experiment.loads:
                items = [i for i in suite.items if i.task == task and i.load == load]
                cells = [Cell(item, repeat, experiment.generation.seed + repeat)
                         for repeat in range(experiment.repeats) for item in items]  # fmt: skip
                if experiment.order == "random":
                    random.Random(f"{experiment.generation.seed}|{model.tag}|{task}|{load}").shuffle(cells)
                if cells:
                    cases.append(Case(model, task, load, tuple(cells)))
    return cases


def planned_answers(experiment: Experiment, source: str = "experiment") -> int:
    """How many answers an experiment asks for.

    Raises:
        ExperimentError, ItemError: as :func:`experiment_suite`.
    """
    return sum(len(case.cells) for case in build_cases(experiment, experiment_suite(experiment, source)))


def check_context(experiment: Experiment, items: Sequence[Item], num_ctx: int, source: str) -> None:
    """Refuses an item whose prompt and output cap do not fit the context.

    Raises:
        ExperimentError: naming the item and the context that would be enough.
    """
    for item in items:
        need = token_estimate(item.prompt) + experiment.generation.cap(item.load) + _TEMPLATE_TOKENS
        if need > num_ctx:
            raise ExperimentError(
                f"{source}: [generation] num_ctx = {num_ctx} is too small for item {item.id!r} "
                f"(about {need} tokens with its output cap); set num_ctx to {need} or lower max_output_tokens.",
                f"{source}：[generation] num_ctx = {num_ctx} 放不下题目 {item.id!r}"
                f"（含输出上限约 {need} 个 token）；请把 num_ctx 设为 {need} 或降低 max_output_tokens。",
            )


def check_contexts(experiment: Experiment, cases: Sequence[Case], source: str) -> None:
    """Every case against the context that the file asks for, before anything is started or written.

    Raises:
        ExperimentError: as :func:`check_context`.
    """
    for case in cases:
        num_ctx = int(case.model.options.get("num_ctx", experiment.generation.num_ctx))  # type: ignore[arg-type]
        check_context(experiment, [cell.item for cell in case.cells], num_ctx, source)


def nonce(item: Item, repeat: int, attempt: int) -> str:
    """First line of every prompt: the same for every model, another for every repeat and attempt.

    It defeats the engine's prompt cache, which reuses the longest common prefix (ollama.md, caches).
    """
    return hashlib.sha256(f"{item.hash}|{repeat}|{attempt}".encode()).hexdigest()[:8]
