"""Turns a validation error into the one sentence that a person needs."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from collector.errors import ExperimentError

__all__ = ["Mistake", "explain"]

_TYPES = {
    "int_type": ("must be a whole number", "必须是整数"),
    "float_type": ("must be a number", "必须是数字"),
    "string_type": ("must be text in quotes", "必须是带引号的文本"),
    "bool_type": ("must be true or false", "必须是 true 或 false"),
    "list_type": ("must be a list in [ ]", "必须是 [ ] 列表"),
    "dict_type": ("must be a table", "必须是表"),
    "model_type": ("must be a table", "必须是表"),
    "too_short": ("must not be empty", "不能为空"),
    "string_too_short": ("must not be empty", "不能为空"),
    "string_pattern_mismatch": ("holds a control character", "含有控制字符"),
}


# what pydantic says in English only, with the names of its context
_LIMITS_ZH = {
    "greater_than": "必须大于 {gt}", "greater_than_equal": "必须大于或等于 {ge}", "less_than": "必须小于 {lt}",
    "less_than_equal": "必须小于或等于 {le}", "string_too_long": "不能超过 {max_length} 个字符", "finite_number": "必须是有限的数",
}  # fmt: skip


class Mistake(ValueError):
    """What a validator of the experiment raises: the sentence without file and field, in both languages."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh


def _place(loc: tuple[int | str, ...], entry: str, comma: str) -> str:
    """``[generation] temperature`` or ``models, entry 2, tag``."""
    words = [entry.format(part + 1) if isinstance(part, int) else str(part) for part in loc]
    if len(words) > 1 and not isinstance(loc[1], int):
        return f"[{words[0]}] {comma.join(words[1:])}"
    return comma.join(words)


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names that are known in the table in which the unknown key stands."""
    current: type[BaseModel] | None = model
    for part in loc:
        if current is None or isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        current = _model_of(field.annotation) if field else None
    return list(current.model_fields) if current else []


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_of, get_args(annotation)) if m), None)


def _unknown_key(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    known = _fields_at(model, detail["loc"][:-1])
    near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
    if near:
        return f"is not known; did you mean {near[0]!r}?", f"未知；是否想写 {near[0]!r}？"
    return f"is not known; known here: {', '.join(known)}", f"未知；此处可用：{', '.join(known)}"


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    got = detail.get("input")
    shown, shown_zh = (f" (got {got!r})", f"（当前为 {got!r}）") if isinstance(got, (str, int, float, bool)) else ("", "")
    if kind == "extra_forbidden":
        return _unknown_key(detail, model)
    if kind == "missing":
        example = ' models = ["llama3.2:3b"]' if detail["loc"] == ("models",) else ""
        return f"is missing: add it{', e.g.' if example else ''}{example}", f"缺失：请补上{'，例如' if example else ''}{example}"
    if kind in _TYPES:
        en, zh = _TYPES[kind]
        return en + shown, zh + shown_zh
    if kind == "literal_error":
        return f"must be {context['expected']}{shown}", f"必须是 {context['expected'].replace(' or ', ' 或 ')}{shown_zh}"
    if kind == "value_error":
        error = context["error"]
        return str(error), error.zh if isinstance(error, Mistake) else str(error)
    message = detail["msg"].removeprefix("Input ")
    return message + shown, _LIMITS_ZH.get(kind, message).format(**context) + shown_zh


def explain(error: ValidationError, source: str, model: type[BaseModel]) -> ExperimentError:
    """The first mistake as one sentence naming file, table, field and cure, and how many more there are."""
    details = error.errors()
    # an unknown key often explains the missing one beside it, so it is told first and what is missing last
    first = min(details, key=lambda d: {"extra_forbidden": 0, "missing": 2}.get(d["type"], 1))
    en, zh = _sentence(first, model)
    place, place_zh = _place(first["loc"], "entry {}", ", "), _place(first["loc"], "第 {} 项", "，")
    more = len(details) - 1
    more_en = f" ({more} more mistake{'s' if more > 1 else ''} after this one)" if more else ""
    more_zh = f"（此后还有 {more} 处错误）" if more else ""
    return ExperimentError(f"{source}: {place}{' ' if place else ''}{en}.{more_en}".replace("..", ".").replace("?.", "?"),
                           f"{source}：{place_zh}{'：' if place_zh else ''}{zh}。{more_zh}".replace("。。", "。").replace("？。", "？"))  # fmt: skip
