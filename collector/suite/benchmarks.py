"""The shapes of published code benchmarks: which rows are of a shape, and what a row says.

HumanEval (github.com/openai/human-eval) and HumanEval-XL (github.com/FloatAI/humaneval-xl): ``task_id``, ``prompt``,
``entry_point``, ``canonical_solution``, ``test``; the second also ``language`` and ``natural_language``. MBPP
(github.com/google-research/google-research/tree/master/mbpp): ``text`` or, sanitized, ``prompt``; ``code``, ``test_list``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from collector.errors import ItemError
from collector.suite.asserts import Cases, called, cases_of_asserts, cases_of_check, parsed

__all__ = ["SHAPES", "Draft", "Shape"]

_LANGUAGES = {
    "afrikaans": "af", "arabic": "ar", "bulgarian": "bg", "chinese": "zh", "dutch": "nl", "english": "en", "estonian": "et",
    "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hungarian": "hu", "indonesian": "id",
    "italian": "it", "malay": "ms", "persian": "fa", "portuguese": "pt", "russian": "ru", "spanish": "es", "tagalog": "tl",
    "turkish": "tr", "vietnamese": "vi",
}  # fmt: skip
"""The natural languages of HumanEval-XL."""

_COMPLETE = {
    "zh": "请补全下面的 Python 函数，把完整的函数连同所需的导入写在一个 Python 代码块里。\n\n```python\n{code}\n```",
    "en": "Complete the following Python function. Give the whole function, with the imports it needs, in one Python code block."
    "\n\n```python\n{code}\n```",
}
_WRITE = {
    "zh": "{text}\n\n请用 Python 写出函数 {name}，放在一个 Python 代码块里。例如：\n\n{example}",
    "en": "{text}\n\nWrite it in Python as a function named {name}, in one Python code block. For example:\n\n{example}",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What a row of a benchmark says.

    Attributes:
        id: its name there.
        language: its natural language; None when it does not say.
        description: the task in words, by which its language can be told.
        form: the prompt per language, English for any other, with ``values`` filled in.
        values: what stands in the form.
        entry_point: the function that is called.
        solution: the reference solution in a code block.
        cases: what could be read of its tests.
        left_out: asserts that could not.
    """

    id: str
    language: str | None
    description: str
    form: Mapping[str, str]
    values: Mapping[str, str]
    entry_point: str
    solution: str
    cases: list[dict[str, Any]]
    left_out: int

    def prompt(self, language: str) -> str:
        """The prompt in ``zh``, or else in English."""
        return self.form["zh" if language == "zh" else "en"].format(**self.values)


class Shape(NamedTuple):
    """Rows with these fields; ``convert`` raises ``ItemError`` with the reason why a row cannot become an item."""

    fields: frozenset[str]
    convert: Callable[[Mapping[str, Any]], Draft]

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has the fields of the shape."""
        return self.fields <= row.keys()


def _human_eval(row: Mapping[str, Any]) -> Draft:
    language = str(row.get("language", "python")).lower()
    if language != "python":
        raise ItemError(f"its program is in {language}; only Python is run", f"程序语言为 {language}，只支持 Python")
    prompt, name = _text(row, "prompt"), _text(row, "entry_point")
    solution = prompt + _text(row, "canonical_solution")
    return Draft(
        id=str(row.get("task_id") or name),
        language=_natural_language(row),
        description=str(row.get("description") or _docstring(prompt, name)),
        form=_COMPLETE,
        values={"code": prompt.strip()},
        entry_point=name,
        solution=_block(solution),
        **_checked(cases_of_check(_text(row, "test")), solution, name),
    )


def _mbpp(row: Mapping[str, Any]) -> Draft:
    text = _text(row, "text" if "text" in row else "prompt")
    code = _text(row, "code").replace("\r\n", "\n")
    lists = [row["test_list"], row.get("challenge_test_list", [])]
    if not all(isinstance(tests, list) and all(isinstance(test, str) for test in tests) for tests in lists):
        raise ItemError("test_list must be a list of texts", "test_list 必须是文本列表")
    tests = [test for tests in lists for test in tests]
    defined = _defined(code)
    name = next((name for name in called(tests) if name in defined), None)
    if name is None:
        raise ItemError("its tests call no function that its code defines", "测试没有调用代码中定义的函数")
    return Draft(
        id=f"MBPP-{row['task_id']}" if "task_id" in row else f"MBPP-{name}",
        language=None,
        description=text,
        form=_WRITE,
        values={"text": text.strip(), "name": name, "example": tests[0].strip()},
        entry_point=name,
        solution=_block(code),
        **_checked(cases_of_asserts(tests, name), code, name),
    )


def _checked(found: Cases, solution: str, name: str) -> dict[str, Any]:
    """The cases, if there are any and the solution defines what they call."""
    if name not in _defined(solution):
        raise ItemError(f"its solution does not define {name!r}", f"参考解没有定义 {name!r}")
    if not found.cases:
        raise ItemError(
            f"none of its {found.left_out} asserts is a plain equality with literal values",
            f"{found.left_out} 个断言中没有一个是与字面值的简单相等",
        )
    return {"cases": found.cases, "left_out": found.left_out}


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ItemError(f"{name} must be text that is not empty", f"{name} 必须是非空文本")
    return value


def _block(code: str) -> str:
    return f"```python\n{code.strip()}\n```"


def _defined(code: str) -> set[str]:
    tree = parsed(code)
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} if tree else set()


def _natural_language(row: Mapping[str, Any]) -> str | None:
    said = row.get("natural_language")
    return None if said is None else _LANGUAGES.get(str(said).lower(), str(said).lower())


def _docstring(prompt: str, name: str) -> str:
    """The docstring of the function that is to be completed, without its examples; the prompt when there is none."""
    tree = parsed(prompt.rstrip() + "\n    pass\n")
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            lines = (ast.get_docstring(node) or "").splitlines()
            return "\n".join(line for line in lines if not line.lstrip().startswith(">>>")) or prompt
    return prompt


SHAPES = (
    Shape(frozenset({"prompt", "entry_point", "canonical_solution", "test"}), _human_eval),
    Shape(frozenset({"code", "test_list"}), _mbpp),
)
"""Every known shape."""
