"""The program is found in answers as models write them."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.extract import extract

F = "def f(x):\n    return x\n"
FENCE = "```"


def fenced(code: str, mark: str = "python") -> str:
    return f"{FENCE}{mark}\n{code}{FENCE}\n"


FOUND = {
    "one block": (f"Here:\n{fenced(F)}Done.", F, "block"),
    "no mark": (fenced(F, ""), F, "block"),
    "the last definition counts": (fenced("def f(x):\n    return 0\n") + "Better:\n" + fenced(F), F, "block"),
    "an example after it": (fenced(F) + "Use it:\n" + fenced("print(f(1))\n"), F, "block"),
    "a class": (fenced("class f:\n    pass\n"), "class f:\n    pass\n", "block"),
    "a variable": (fenced("f = lambda x: x\n"), "f = lambda x: x\n", "block"),
    "async": (fenced("async def f(x):\n    return x\n"), "async def f(x):\n    return x\n", "block"),
    "never closed": (f"Here:\n{FENCE}python\n{F}", F, "block"),
    "tildes": ("~~~py\n" + F + "~~~\n", F, "block"),
    "a fence inside a longer one": (f"````python\n{F}#{FENCE}\n````\n", F + f"#{FENCE}\n", "block"),
    "windows lines": (fenced(F).replace("\n", "\r\n"), F, "block"),
    "in a list": ("1. Do:\n   ```python\n   def f(x):\n       return x\n   ```\n", F, "block"),
    "not closed before the next": (f"{FENCE}python\nx = 1\n{FENCE}python\n{F}{FENCE}", F, "block"),
    "does not parse": (fenced("def f(x:\n    return x\n"), "def f(x:\n    return x\n", "block"),
    "thoughts first": ("<think>" + fenced("def f(x): return 1\n") + "</think>\n" + fenced(F), F, "block"),
    "no fence": (f"Sure, here it is:\n\nimport math\n\n{F}\nThis returns x.", "import math\n\ndef f(x):\n    return x\n", "lines"),
    "no fence, nothing else": (F, F, "lines"),
    "no fence, text between": (f"import this later, I think\n{F}And so on: it's done", F, "lines"),
    "outside the fence": (f"{fenced('print(1)' + chr(10))}\n{F}\n", F, "lines"),
    "no fence, broken": ("def f(x:\n    return x", "def f(x:\n    return x\n", "lines"),
    "only another function": ("Text\n" + fenced("def g(x):\n    pass\n") + fenced("ls\n", "bash"), "def g(x):\n    pass\n", "last_block"),
    "only another language": (fenced("int f(int x);\n", "c"), "int f(int x);\n", "last_block"),
    "an example in its docstring": (
        "```python\ndef f(x):\n    \"\"\"As:\n    ```\n    f(1)\n    ```\n    \"\"\"\n    return x\n```\nDone.",
        "def f(x):\n    \"\"\"As:\n    ```\n    f(1)\n    ```\n    \"\"\"\n    return x\n", "block",
    ),
    "behind four spaces": ("Solution\n\n    def f(x):\n        return x\n\nDone.", F, "lines"),
    "quoted": ("> ```python\n> def f(x):\n>     return x\n> ```\n", F, "block"),
    "a byte order mark": ("\ufeff" + F, F, "lines"),
    "imports in a block of their own": (fenced("import math\nx = 1\n") + fenced(F), "import math\n" + F, "block"),
    "imports behind it": (fenced(F) + fenced("import math\n"), F, "block"),
    "a name that begins alike": (fenced("def f2(x):\n    pass\n"), "def f2(x):\n    pass\n", "last_block"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    answer, code, method = FOUND[name]
    found = extract(answer, "f")
    assert found is not None
    assert (found.code, found.method) == (code, method)


@pytest.mark.parametrize("answer", ["", "I cannot do that.", "😀" * 50, "f(x) 等于 x", "\0\0"])
def test_no_code(answer: str) -> None:
    assert extract(answer, "f") is None


def test_imports_of_the_task_are_put_in_front() -> None:
    prompt = "Complete:\n\nfrom typing import List\nimport math\nimport numpy as np\nimport math\n\ndef f(x: List[int]): ...\nfrom the list, import all"
    found = extract(fenced(F), "f", prompt)
    assert found is not None
    assert found.code == "from typing import List\nimport math\n" + F


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000, "-" * 100_000 + "1", "not " * 30_000 + "1", "[" * 3000 + "]" * 3000, "x=" * 30_000 + "1",
     "lambda: " * 20_000 + "1", "a." * 50_000 + "a", "\\" * 50_000, "'''" * 20_001, "\0" * 1000, "\x1b[31m" * 10_000],
)  # fmt: skip
def test_hostile_answers_do_no_harm(text: str) -> None:
    for answer in (text, f"def f(x):\n    return {text}\n", f"{FENCE}\n{text}", f"import os\n{text}\n{F}\n{text}"):
        extract(answer, "f", "import " + text)


def test_a_long_answer_of_one_kind_is_quick_to_refuse() -> None:
    for line in ("```\n", "import os\n", "def f(x): return (\n", "x = 1\n", "word " * 10 + "\n"):
        extract(line * (100_000 // len(line)), "f")


@given(st.text(alphabet="`~\n def f(x):python=#import", max_size=300))
def test_anything_is_taken(answer: str) -> None:
    found = extract(answer, "f")
    assert found is None or found.method in {"block", "lines", "last_block"}


@given(st.integers(0, 5), st.sampled_from(["", "python", "py"]), st.text(alphabet="ab \n", max_size=50))
def test_a_fenced_program_is_always_found(value: int, mark: str, around: str) -> None:
    code = f"def f(x):\n    return {value}\n"
    found = extract(f"{around}\n{fenced(code, mark)}{around}", "f")
    assert found is not None
    assert ast.dump(ast.parse(found.code)) == ast.dump(ast.parse(code))
