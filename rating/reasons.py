"""Why a letter is missing, uncertain or to be read with care: stable codes, sentences in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["UNRATED", "Both", "Reason", "chance_text", "reason", "task_words"]


class Both(NamedTuple):
    """A part of a sentence that differs between the languages."""

    en: str
    zh: str


_TASKS: Final = {
    "qa": Both("knowledge QA", "知识问答"),
    "summary": Both("summary", "摘要"),
    "code": Both("code", "代码"),
    "creative": Both("creative", "创作"),
}


def chance_text(share: float) -> str:
    """A share of draws as per cent; rounded to neither 0 nor 100, as draws are never certainty."""
    hundredths = round(100 * share)
    return f"{hundredths} %" if 0 < hundredths < 100 else ">99 %" if hundredths else "<1 %"  # noqa: PLR2004


def task_words(tasks: Iterable[str]) -> Both:
    """The names of tasks as a part of a sentence; a task that somebody added is called by its own name."""
    known = [_TASKS.get(task, Both(task, task)) for task in tasks]
    return Both(", ".join(words.en for words in known), "、".join(words.zh for words in known))


@dataclass(frozen=True, slots=True)
class Reason:
    """A code with the values of its sentence."""

    code: str
    values: tuple[tuple[str, str | Both], ...] = ()

    def text(self, language: str = "en") -> str:
        """The sentence in ``language`` (``zh`` or anything else for English)."""
        chinese = language == "zh"
        values = {
            name: (value.zh if chinese else value.en) if isinstance(value, Both) else value
            for name, value in self.values
        }
        return _TEXTS[self.code][chinese].format(**values)


def reason(code: str, **values: object) -> Reason:
    """A reason out of the table below; an unknown code or a missing value is an error of the program."""
    made = Reason(
        code, tuple((name, value if isinstance(value, Both) else str(value)) for name, value in values.items())
    )
    made.text()
    return made


UNRATED: Final = frozenset(
    (
        "no_answers", "energy_missing", "energy_zero", "no_quality", "mixed_scope", "mixed_tier", "mixed_suite",
        "mixed_checkpoint", "implausible_power", "flagged", "no_basket", "basket_missing", "basket_invalid",
        "no_common_items", "too_few_items", "too_few_successes", "task_missing", "task_unrated",
    )
)  # fmt: skip
"""Codes that forbid a letter."""

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- the measurements cannot carry a letter
    "no_answers": (
        "no valid answer with both energy and quality; measure or score again",
        "没有同时具备能耗与质量的有效回答；请重新测量或评分",
    ),
    "energy_missing": (
        "{n} answers have no energy ({items}); measure them again",
        "{n} 个回答没有能耗数据（{items}）；请重新测量",
    ),
    "energy_zero": (
        "{n} answers show zero energy ({items}), so the sensor did not see them; measure them again",
        "{n} 个回答能耗为零（{items}），说明传感器没有测到；请重新测量",
    ),
    "no_quality": (
        "none of the {n} answers has a quality yet; score them (python -m collector score)",
        "{n} 个回答都还没有质量分；请先评分（python -m collector score）",
    ),
    "mixed_scope": (
        "the energy does not cover the same parts everywhere ({seen}); measure all with one scope",
        "能耗范围不一致（{seen}）；请用同一范围测量",
    ),
    "mixed_tier": (
        "energies of different tiers meet ({seen}); measure all with one kind of sensor",
        "能耗等级不一致（{seen}）；请用同一类传感器测量",
    ),
    "mixed_suite": (
        "answers of different task versions meet ({seen}); measure or score all with one version",
        "任务版本不一致（{seen}）；请用同一版本测量或评分",
    ),
    "mixed_checkpoint": (
        "one language was scored by different checkpoints ({seen}); score all with one",
        "同一语言使用了不同的评分模型（{seen}）；请用同一个评分模型",
    ),
    "implausible_power": (
        "its mean power of {power} W is below a fifth of the basket's median {median} W, so part of its energy was not seen",
        "平均功率 {power} W 低于参照篮中位数 {median} W 的五分之一，说明部分能耗没有测到",
    ),
    "flagged": (
        "flag {flag} on {n} answers forbids a letter until they are measured again",
        "{n} 个回答带有标记 {flag}，重新测量之前不给等级",
    ),
    # --- nothing to compare with
    "no_basket": (
        "nothing to compare with: fewer than 3 configurations have enough valid items, and of the basket {missing} is not "
        "measured; measure more configurations, or {cure}",
        "没有可比较的对象：有足够有效题目的配置不足 3 个，参照篮中 {missing} 尚未测量；请测量更多配置，或{cure}",
    ),
    "basket_missing": (
        "basket models without valid answers in this cohort and task: {missing}; measure them ({cure})",
        "参照篮模型在此设备组与任务中没有有效回答：{missing}；请测量（{cure}）",
    ),
    "basket_invalid": (
        "basket model {model} cannot be compared with: {why}",
        "参照篮模型 {model} 无法作为参照：{why}",
    ),
    "no_common_items": (
        "it shares no valid item with the basket; measure the same items",
        "与参照篮没有共同的有效题目；请测量相同的题目",
    ),
    # --- too little evidence
    "too_few_items": ("{n} items, {needed} are needed", "只有 {n} 道题，需要 {needed} 道"),
    "too_few_successes": (
        "{n} success-equivalents, {needed} are needed",
        "成功当量只有 {n}，需要 {needed}",
    ),
    # --- a letter, but provisional
    "uncertain_grade": (
        "the letter has a probability of {probability}, {needed} is needed; {more}",
        "该等级的概率为 {probability}，需要达到 {needed}；{more}",
    ),
    "energy_estimated": (
        "the energy is estimated, not measured; a counter or a meter settles it",
        "能耗是估算值而非实测；使用能量计数器或电表可以确定",
    ),
    "own_basket": (
        "the reference is this data's own first configurations, so the letter compares with nothing outside; to compare, "
        "{comparable}",
        "参照对象是本数据最初的几个配置，等级不能与外部比较；若要比较，请{comparable}",
    ),
    # --- to be read with care
    "below_functional_minimum": (
        "quality {quality} is below half the basket's median {median}: no better than E",
        "质量 {quality} 低于参照篮中位数 {median} 的一半：最高只能为 E",
    ),
    "demo_model": (
        "an embedded demonstration model: says nothing about real language models",
        "内置演示模型：不代表真实的语言模型",
    ),
    "tier_unstated": ("the energy tier is not stated", "未说明能耗等级"),
    "left_out": ("answers left out: {n} ({flags})", "剔除 {n} 个回答（{flags}）"),
    "failures": (
        "failed answers: {n} (quality 0, their energy counts; {flags})",
        "{n} 个回答失败（质量为 0，能耗计入；{flags}）",
    ),
    "not_scored": ("answers without quality, left out of both sums: {n}", "{n} 个没有质量分的回答不计入两项总和"),
    "fewer_items_compared": (
        "{n} of its {measured} items are compared: the others are not valid for the whole basket",
        "其 {measured} 道题中有 {n} 道参与比较：其余题目并非对整个参照篮都有效",
    ),
    "earlier_campaign": (
        "figures are from campaign {campaign}; the newer campaign {newer} has only {n} items so far",
        "数据来自批次 {campaign}；较新的批次 {newer} 目前只有 {n} 道题",
    ),
    # --- advice
    "advice_choice": (
        "{choice} takes the least energy per success, {x} J, of the {n} configurations that meet the wish; quality {quality}",
        "在满足要求的 {n} 个配置中，{choice} 每次成功的能耗最低：{x} J；质量 {quality}",
    ),
    "advice_runner_up": (
        "{runner_up} comes next and takes {percent} % more; the choice beats it with a probability of {probability}",
        "其次是 {runner_up}，能耗高 {percent} %；首选优于它的概率为 {probability}",
    ),
    "advice_runner_up_unsure": (
        "{runner_up} comes next and takes {percent} % more; they share too few items to say how sure that is",
        "其次是 {runner_up}，能耗高 {percent} %；两者共同的题目太少，无法给出概率",
    ),
    "advice_alone": ("nothing else meets the wish", "没有其他配置满足要求"),
    "advice_nothing": (
        "none of the {n} configurations meets the wish; loosen a limit or measure more models",
        "{n} 个配置都不满足要求；请放宽限制或测量更多模型",
    ),
    "advice_few_items": (
        "only {n} items of a task stand behind this, so that the probability says too much; {needed} are needed",
        "有的任务只有 {n} 道题，概率偏高；需要 {needed} 道",
    ),
    "advice_quality": ("quality {quality} is below the floor {floor}", "质量 {quality} 低于下限 {floor}"),
    "advice_vram": ("needs {have} GB on the GPU, the limit is {limit} GB", "需要 {have} GB 显存，上限为 {limit} GB"),
    "advice_vram_unknown": (
        "its GPU memory was not measured, so that {limit} GB cannot be promised",
        "没有测到显存占用，无法保证不超过 {limit} GB",
    ),
    "advice_latency": ("takes {have} s per answer, the limit is {limit} s", "每个回答需 {have} 秒，上限为 {limit} 秒"),
    "advice_latency_unknown": (
        "its time per answer was not measured, so that {limit} s cannot be promised",
        "没有测到回答时间，无法保证不超过 {limit} 秒",
    ),
    "advice_no_success": ("no success at all in the tasks {tasks}", "在任务 {tasks} 中没有任何成功"),
    "advice_other_condition": (
        "measured under another condition than the others (energy scope or tier, task version, part of the energy)",
        "测量条件与其他配置不同（能耗范围或等级、任务版本、能耗的组成部分）",
    ),
    # --- overall
    "task_missing": ("not measured in the tasks {tasks}", "尚未测量任务 {tasks}"),
    "task_unrated": ("no letter in the tasks {tasks}", "任务 {tasks} 没有等级"),
    "task_provisional": ("provisional in the tasks {tasks}", "任务 {tasks} 的等级是暂定的"),
    "worst_task": ("worst task: {task} ({grade})", "最差任务：{task}（{grade}）"),
}
