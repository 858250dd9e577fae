"""Finds the program in an answer.

In this order; the method that found it is recorded with the score:

1. ``block``: the last fenced block that defines the entry point (drafts come first, the final version last). A fence
   that is never closed, as in a cut-off answer, ends with the answer; one inside a docstring does not end the block.
2. ``lines``: without fences, or when none of them defines it: the lines around the last definition of the entry point
   outside any block, from the first import, definition or assignment before it, as far as they parse.
3. ``last_block``: the last fenced block that is marked as Python, else the last block of all; it does not define the
   entry point, so every case will fail, and say why.

Where that finds nothing, the same again with code that stands behind four spaces or ``>``, as Markdown and mail have it.

Imports of standard modules that the task text or an earlier block shows are put in front, as a model may rely on them. A
byte order mark is left out.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from dataclasses import dataclass
from itertools import islice

__all__ = ["Extracted", "extract"]

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.#-]*)[^\n]*$", re.MULTILINE)
_PYTHON = {"python", "py", "python3", "py3", ""}
_BEGINS = re.compile(r"(?:import|from|def|async def|class|@|[A-Za-z_]\w*\s*(?::[^=\n]+)?=(?!=))")
_IMPORT = re.compile(r"^[ \t>]*((?:import|from)[ \t]+[\w.]+.*)$", re.MULTILINE)
_SHIFT = re.compile(r"^(?:    |> ?)", re.MULTILINE)
_MOST_LINES = 400
_MOST_STARTS = 10
_MOST_TRIES = 30
_MOST_FENCES = 8
_LONG_LINE = 1000  # characters; the parser needs quadratic time for some long lines


@dataclass(frozen=True, slots=True)
class Extracted:
    """A program out of an answer.

    Attributes:
        code: the program.
        method: ``block``, ``lines`` or ``last_block``.
    """

    code: str
    method: str


@dataclass(frozen=True, slots=True)
class _Block:
    language: str
    code: str
    at: int


def extract(answer: str, entry_point: str, prompt: str = "") -> Extracted | None:
    """The program in an answer that defines ``entry_point``, None when the answer holds no code at all.

    Args:
        answer: what the model wrote.
        entry_point: name of the function, class or variable that the cases call.
        prompt: the task text, for the imports it shows.
    """
    plain = answer.replace("\r\n", "\n").lstrip("\ufeff")
    found = _found(plain, entry_point, prompt)
    return found if found is not None else _found(_SHIFT.sub("", plain), entry_point, prompt)


def _found(answer: str, entry_point: str, prompt: str) -> Extracted | None:
    definition = _definition(entry_point)
    blocks, prose = _split(answer)
    imports = _imports(prompt)
    for number, block in reversed(list(enumerate(blocks))):
        if definition.search(block.code):
            shown = "\n".join([prompt, *(earlier.code for earlier in blocks[:number])])
            return Extracted(_imports(shown) + _whole(block, answer), "block")
    found = _lines(prose, definition)
    if found is not None:
        return Extracted(imports + found, "lines")
    marked = [block for block in blocks if block.language in _PYTHON]
    if marked or blocks:
        return Extracted(imports + (marked or blocks)[-1].code, "last_block")
    return None


def _definition(entry_point: str) -> re.Pattern[str]:
    """Matches a definition of the name on the first column."""
    name = re.escape(entry_point)
    return re.compile(rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^{name}[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE)


def _split(answer: str) -> tuple[list[_Block], str]:
    """The fenced blocks in their order, without common indentation, and the text outside them."""
    blocks: list[_Block] = []
    prose: list[str] = []
    at, opened = 0, None
    for fence in _FENCE.finditer(answer):
        if opened is None:
            prose.append(answer[at : fence.start()])
            opened, at = fence, fence.end() + 1
        elif fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1]) and not fence[2]:
            blocks.append(_block(opened, answer[at : fence.start()]))
            opened, at = None, fence.end() + 1
        elif fence[2] and fence[1][0] == opened[1][0]:  # a new block begins where the old one was never closed
            blocks.append(_block(opened, answer[at : fence.start()]))
            opened, at = fence, fence.end() + 1
    if opened is None:
        prose.append(answer[at:])
    else:
        blocks.append(_block(opened, answer[at:]))
    return blocks, "\n".join(prose)


def _block(opened: re.Match[str], text: str) -> _Block:
    return _Block(opened[2].lower(), _flush(text), opened.end() + 1)


def _flush(text: str) -> str:
    """The lines without common indentation, and without blank ones behind them."""
    lines = text.rstrip().split("\n")
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    cut = min(indents, default=0)
    return "\n".join(line[cut:] for line in lines) + "\n"


def _whole(block: _Block, answer: str) -> str:
    """The block's code, over fences inside it (an example in a docstring) where it parses only with them."""
    if isinstance(_parsed(block.code), ast.Module):
        return block.code
    end = block.at + len(block.code) - 1
    for fence in islice(_FENCE.finditer(answer, end), _MOST_FENCES):
        code = _flush(answer[block.at : fence.start()])
        if len(code) > len(block.code) and isinstance(_parsed(code), ast.Module):
            return code
    return block.code


def _imports(prompt: str) -> str:
    """Import lines of the prompt that parse and name modules of the standard library; empty when there are none."""
    found = []
    for line in dict.fromkeys(match.strip() for match in _IMPORT.findall(prompt)):
        tree = _parsed(line) if len(line) <= _LONG_LINE else None
        if not isinstance(tree, ast.Module):
            continue
        names = [
            name.split(".")[0]
            for node in tree.body
            for name in (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else [""]
            )
        ]  # fmt: skip
        if all(name in sys.stdlib_module_names for name in names):
            found.append(line + "\n")
    return "".join(found)


def _parsed(code: str) -> ast.Module | SyntaxError:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nested too deeply for the parser
        return SyntaxError(str(error))


def _lines(text: str, definition: re.Pattern[str]) -> str | None:
    """The longest run of lines around the last definition that parses; None without a definition."""
    found = None
    for found in definition.finditer(text):  # noqa: B007 - the last one counts
        pass
    if found is None:
        return None
    lines = [line if len(line) <= _LONG_LINE else "?" for line in text.split("\n")]  # "?" does not parse
    at = text.count("\n", 0, found.start())
    starts = [n for n in range(max(0, at - _MOST_LINES), at) if _BEGINS.match(lines[n])]
    for start in (*starts[-_MOST_STARTS:], at):
        code = _longest(lines[start : at + _MOST_LINES], at - start)
        if code is not None:
            return code
    return "\n".join(text.split("\n")[at : at + _MOST_LINES]) + "\n"  # it will fail, and say where


def _longest(lines: list[str], least: int) -> str | None:
    """As many of the lines as parse, more than ``least`` of them; None when that many do not."""
    end = len(lines)
    for _ in range(_MOST_TRIES):
        if end <= least:
            break
        code = "\n".join(lines[:end])
        tree = _parsed(code)
        if isinstance(tree, ast.Module):
            return code.rstrip() + "\n"
        # the text after the code is what does not parse; the error is at its first line or later
        end = min(end - 1, (tree.lineno or end) - 1)
    return None
