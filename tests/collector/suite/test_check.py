"""What the checker of the suite finds: nothing in the shipped one, and every fault that is put in."""

import pytest

from collector.cli.check_suite import shipped_counter
from collector.quality.code import CodeVerdict
from collector.suite import TASKS, Item, load_suite
from collector.suite.check import _RULES, PLAUSIBLE, Findings, examine, problems

SENTENCES = (
    "Rivers carry water from the hills to the sea and farmers use it for their fields because rain is rare in summer "
    "while the winter brings more snow than the people of this valley would like to shovel"
)
WORDS = SENTENCES.split()


def text(count: int, start: int = 0) -> str:
    """A text of so many estimated tokens, rounded up to a word, without loops."""
    words = [WORDS[(start + n * (1 + n // len(WORDS))) % len(WORDS)] for n in range(round(count / 1.3))]
    return " ".join(words)


SOURCE = text(60)
GOOD = {
    "qa": {"references": [text(60) + " nitrogen"], "answers": ["nitrogen"], "key_facts": [["water"], ["sea", "ocean"]]},
    "summary": {
        "prompt": f"Sum up:\n{SOURCE}",
        "source": SOURCE,
        "references": [text(30), text(30, 5)],
        "length": {"min_tokens": 20, "max_tokens": 40},
    },
    "code": {
        "prompt": text(60) + " Write double(n).",
        "references": ["```python\ndef double(n):\n    return 2 * n  # the sum of the number and of the same number\n```"],
        "entry_point": "double",
        "cases": [{"args": [n], "expected": 2 * n} for n in range(8)],
    },
    "creative": {"constraints": [{"kind": "must", "words": ["water"]}]},
}


def item(task: str, **change: object) -> Item:
    table = {"id": task, "task": task, "load": "short", "language": "en", "prompt": text(70), "references": [text(65)]}
    table |= GOOD[task] | change
    return Item.from_table({key: value for key, value in table.items() if value is not None}, "s")


def test_the_shipped_suite_is_full_and_has_no_problem() -> None:
    items = load_suite().items
    assert len(items) >= 240
    found = examine(items, shipped=True, count_tokens=shipped_counter())
    assert [str(problem) for problem in found.problems] == []
    assert {note.item for note in found.unchecked} == {item.id for item in items if item.task == "code"}


def test_items_from_elsewhere_need_only_what_a_quality_rests_on() -> None:
    mine = [
        item("qa", id="q", prompt="Why is it wet?", references=["Because it is water."], answers=None, key_facts=None),
        item("summary", id="s", references=[text(9)], length=None),
        item("code", id="c", cases=GOOD["code"]["cases"][:1]),
        item("creative", id="w", constraints=None),
    ]
    assert examine(mine).problems
    assert examine(mine, own=True, count_tokens=lambda _: 1).problems == []
    bare = [item("summary", id="s", source=None), item("code", id="c", cases=None), item("qa", id="q", references=None)]
    found = {(problem.item, problem.field) for problem in examine(bare, own=True).problems}
    assert found == {("s", "source"), ("c", "cases"), ("q", "references")}
    double = [item("qa", prompt=text(70)), item("qa", prompt=text(70, 7))]
    assert [problem.field for problem in examine(double, own=True).problems] == ["id"]


def test_a_suite_that_is_not_full_says_where() -> None:
    found = [str(problem) for problem in problems([item("qa", id=str(n), prompt=text(70, n)) for n in range(12)], shipped=True)]
    assert "qa short en: 12 items, at least 10 are needed" not in found
    assert "qa long en: 0 items, at least 10 are needed" in found
    assert "qa en: 12 items, at least 30 are needed" in found
    assert "creative zh: 0 items, at least 30 are needed" in found


def test_every_task_has_its_rules() -> None:
    assert set(PLAUSIBLE) == set(_RULES) == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_good_item_has_no_problem(task: str) -> None:
    assert problems([item(task)]) == []


@pytest.mark.parametrize(
    ("task", "change", "field", "words"),
    [
        ("qa", {"prompt": text(20)}, "prompt", "50 to 100"),
        ("qa", {"references": None}, "references", "has 0, at least 1"),
        ("qa", {"references": [text(60)]}, "references[0]", "none of the accepted answers"),
        ("qa", {"key_facts": [["water"], ["volcano"]]}, "references[0]", "key_facts[1]"),
        ("qa", {"prompt": text(70) + " nitrogen"}, "prompt", "repeating it would do"),
        ("qa", {"answers": None}, "answers", "missing"),
        ("qa", {"key_facts": None}, "key_facts", "missing"),
        ("qa", {"references": ["I am sorry, but I cannot answer this: " + text(60) + " nitrogen"]}, "references[0]", "refused"),
        ("qa", {"references": ["nitrogen water sea " * 20]}, "references[0]", "looping"),
        ("qa", {"references": ["氮气与水和大海" * 10 + "nitrogen water sea"]}, "references[0]", "wrong_language"),
        ("qa", {"prompt": "请解释水是怎样从山上流到大海里的，" * 6}, "prompt", "written in zh"),
        ("summary", {"references": [text(30)]}, "references", "has 1, at least 2"),
        ("summary", {"references": [text(30), text(30).upper()]}, "references", "same text twice"),
        ("summary", {"source": None}, "source", "missing"),
        ("summary", {"length": None}, "length", "missing"),
        ("summary", {"source": text(60, 7)}, "source", "does not stand in the prompt"),
        ("summary", {"length": {"min_tokens": 35, "max_tokens": 40}}, "length", "35 to 40"),
        ("code", {"cases": [{"expected": 1}] * 7}, "cases", "has 7, at least 8"),
        ("code", {"entry_point": "triple"}, "prompt", "triple"),
        ("code", {"entry_point": None}, "entry_point", "missing"),
        ("creative", {"constraints": None}, "constraints", "missing"),
        ("creative", {"constraints": [{"kind": "must_not", "words": ["water"]}]}, "references[0]", "must_not"),
    ],
)  # fmt: skip
def test_every_fault_is_found(task: str, change: dict[str, object], field: str, words: str) -> None:
    found = problems([item(task, **change)])
    assert any(words in problem.en for problem in found)
    assert {(problem.item, problem.field) for problem in found} == {(task, field)}
    assert all(problem.text("zh").startswith(f"{task}：") for problem in found)


def test_the_reader_of_a_summary_may_break_lines_elsewhere() -> None:
    assert problems([item("summary", prompt="Sum up:\n" + SOURCE.replace(" ", "\n"))]) == []


def test_doubles_are_found_among_the_items_and_beside_them() -> None:
    one, same_id, same_text = item("qa"), item("qa", prompt=text(70, 3)), item("qa", id="b", prompt=text(70).upper() + "!")
    assert [str(p) for p in problems([one, same_id])] == ["qa: id is there twice; give every item its own"]
    assert [str(p) for p in problems([one, same_text])] == ["b: prompt asks the same as 'qa'"]
    assert [p.item for p in examine([same_text], beside=[one]).problems] == ["b"]
    assert problems([one]) == examine([one], beside=[item("creative", prompt=text(70, 9))]).problems == []


@pytest.mark.parametrize(("share", "fits"), [(0.3, False), (0.5, True), (1, True), (4, True), (6, False)])
def test_the_shipped_tokenizers_count_must_be_plausible(share: float, fits: bool) -> None:
    found = examine([item("creative")], count_tokens=lambda text: round(share * 1.3 * len(text.split()))).problems
    assert [problem.field for problem in found] == ([] if fits else ["prompt", "references[0]"])
    assert PLAUSIBLE["creative"] == (0.4, 5.0)


def test_reference_solutions_are_run() -> None:
    asked = []

    def run(answer, prompt, payload) -> CodeVerdict:
        asked.append((answer, prompt, payload["entry_point"]))
        return CodeVerdict(len(asked) == 1, 0.5, {"first_failure": "wrong: returned 3"}, None)

    good = item("code")
    assert examine([good, item("qa")], run_code=run) == Findings([], [])
    assert asked == [(good.references[0], good.prompt, "double")]
    (problem,) = examine([good], run_code=run).problems
    assert str(problem) == "code: references[0] fails its own cases (wrong: returned 3)"


def test_what_cannot_be_run_is_unchecked_and_no_fault() -> None:
    found = examine([item("code")], run_code=lambda *_: CodeVerdict(None, None, None, "no_sandbox"))
    assert found.problems == []
    assert [str(note) for note in found.unchecked] == ["code: references[0] was not run: no_sandbox"]
    assert "--run-code" in str(examine([item("code")]).unchecked[0])
