"""Constraints of creative items: what is checked on an answer, and which tables are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.constraints import CHECKS, check, share_held
from collector.suite.constraints import KINDS, problem

POEM = "# 四季\r\n\r\n春风入我怀，\r\n夏雨打窗台。\r\n秋月照归路，\r\n**冬夜**等雪来。\r\n"
SCENE = (
    "The Last Ferry\n\n'I don't know,' said Tom.\n\nMARA (softly): The sea lanterns are lit.\n\n"
    "“Go,” she said. “Now.”\n\nAt 12:30 the sea's gloves lay there, beloved."
)
FENCED = "```text\n" + POEM + "```"

TEXTS = {"zh": POEM, "en": SCENE}


def held(kind: str, answer: str, language: str, **fields: Any) -> bool:
    [(constraint, kept)] = check([{"kind": kind, **fields}], answer, language)
    assert constraint["kind"] == kind
    return kept


def test_every_kind_has_a_check() -> None:
    assert list(CHECKS) == list(KINDS)


@pytest.mark.parametrize("poem", [POEM, FENCED, POEM.replace("# 四季", "**四季**"), POEM.replace("# 四季", "《四季》")])
@pytest.mark.parametrize(
    ("kind", "fields", "kept"),
    [
        ("title", {}, True),
        ("lines", {"min": 4, "max": 4}, True),
        ("lines", {"min": 5}, False),
        ("lines", {"max": 3}, False),
        ("paragraphs", {"min": 4, "max": 4}, True),
        ("line_length", {"unit": "characters", "min": 5, "max": 5}, True),
        ("line_length", {"unit": "words", "min": 5, "max": 5}, True),
        ("line_length", {"unit": "characters", "min": 6}, False),
        ("length", {"unit": "characters", "min": 20, "max": 20}, True),
        ("length", {"unit": "words", "min": 20, "max": 20}, True),
        ("length", {"unit": "tokens", "min": 18, "max": 26}, True),  # 26 characters with punctuation
            ("length", {"unit": "tokens", "min": 27}, False),
        ("acrostic", {"text": "春夏秋冬"}, True),
        ("acrostic", {"text": "春夏"}, True),
        ("acrostic", {"text": "夏春秋冬"}, False),
        ("begins_with", {"text": "春风"}, True),
        ("begins_with", {"text": "四季"}, False),
        ("ends_with", {"text": "等雪来！"}, True),
        ("ends_with", {"text": "冬夜"}, False),
        ("must", {"words": ["秋月", "冬夜等雪"]}, True),
        ("must", {"words": ["秋月", "四季"]}, False),
        ("must_not", {"words": ["太阳"]}, True),
        ("must_not", {"words": ["太阳", "归路"]}, False),
        ("dialogue", {"max": 0}, True),
    ],
)
def test_a_poem(poem: str, kind: str, fields: dict[str, Any], kept: bool) -> None:
    assert held(kind, poem, "zh", **fields) is kept


@pytest.mark.parametrize(
    ("kind", "fields", "kept"),
    [
        ("dialogue", {"min": 3, "max": 3}, True),
        ("paragraphs", {"min": 5, "max": 5}, True),  # without a title constraint the first line is a paragraph
        ("must", {"words": ["lantern", "ferry"]}, True),
        ("must", {"words": ["glove", "love"]}, False),
        ("must_not", {"words": ["love", "glove"]}, True),
        ("must_not", {"words": ["gloves"]}, False),
        ("count", {"text": "the sea", "min": 2, "max": 2}, True),
        ("count", {"text": "The Sea", "max": 1}, False),
        ("begins_with", {"text": "the last"}, True),
        ("begins_with", {"text": "the las"}, False),
        ("ends_with", {"text": "loved"}, False),
        ("length", {"unit": "words", "min": 27, "max": 29}, True),
        ("acrostic", {"text": "TIM"}, True),
    ],
)
def test_a_scene(kind: str, fields: dict[str, Any], kept: bool) -> None:
    assert held(kind, SCENE, "en", **fields) is kept


def test_a_title_that_is_asked_for_is_not_part_of_the_text() -> None:
    asked: list[dict[str, Any]] = [
        {"kind": "title"},
        {"kind": "paragraphs", "min": 4, "max": 4},
        {"kind": "begins_with", "text": "I don't know"},
    ]
    assert share_held(asked, SCENE, "en") == 1
    untitled = SCENE.partition("\n\n")[2]
    assert [kept for _, kept in check(asked, untitled, "en")] == [False, True, True]


@pytest.mark.parametrize("first", ["The night was long, and cold.", "Here is your story:", "word " * 13])
def test_a_sentence_is_no_title(first: str) -> None:
    assert not held("title", first + "\n\nMore of it.", "en")


def test_a_title_alone_is_no_titled_text() -> None:
    assert not held("title", "# Alone", "en")


@pytest.mark.parametrize(
    ("line", "speaks"),
    [
        ("“你好。”他说。", True),
        ("「走吧」", True),
        ("老周：开船了。", True),
        ("老周（叹气）：开船了。", True),
        ("- “Hello,” he said.", True),
        ('**ANNA:** "Wait."', True),
        ("NARRATOR: It rains.", True),
        ("It was Tom's and Ann's boat.", False),
        ("At 12:30 it rained.", False),
        ("There was one thing that nobody had told her about it: the price.", False),
        ("他只有一个想法，这个想法从早到晚陪着他：回家。", False),
        ('"!"', False),
    ],
)
def test_who_speaks(line: str, speaks: bool) -> None:
    assert held("dialogue", line, "zh", min=1) is speaks


def test_nothing_written_keeps_nothing_that_asks_for_something() -> None:
    for answer in ("", " \n\t", "！？…", "🙂🙂", "```\n```", "---"):
        assert not held("lines", answer, "zh", min=1)
        assert not held("line_length", answer, "zh", unit="words", max=9)
        assert not held("acrostic", answer, "zh", text="春")


def test_numbers_of_a_list_are_no_text() -> None:
    listed = "1. Light\n2. Across\n3) Many\n4、 Paths"
    assert held("acrostic", listed, "en", text="LAMP")
    assert held("line_length", listed, "en", unit="words", min=1, max=1)
    assert not held("begins_with", "1984. It was cold.", "en", text="It")


def test_share_held_counts_what_is_known() -> None:
    constraints: list[dict[str, Any]] = [
        {"kind": "title"},
        {"kind": "must", "words": ["春天"]},
        {"kind": "must_not", "words": ["夏天"]},
        {"kind": "of another version"},
    ]
    assert share_held(constraints, POEM, "zh") == pytest.approx(2 / 3)
    assert share_held(constraints[3:], POEM, "zh") is None
    assert share_held([], POEM, "zh") is None


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ("lines", "table"),
        ({}, "None"),
        ({"kind": "rhyme"}, "acrostic"),
        ({"kind": ["lines"]}, "lines"),
        ({"kind": "lines"}, "min, max"),
        ({"kind": "lines", "min": "4"}, "whole"),
        ({"kind": "lines", "min": True}, "whole"),
        ({"kind": "lines", "min": -1}, "whole"),
        ({"kind": "lines", "min": 5, "max": 4}, "above"),
        ({"kind": "lines", "min": 5, "word": "x"}, "'word'"),
        ({"kind": "title", "min": 1}, "none"),
        ({"kind": "length", "min": 5}, "unit"),
        ({"kind": "length", "min": 5, "unit": "pages"}, "tokens"),
        ({"kind": "line_length", "min": 5, "unit": "tokens"}, "characters"),
        ({"kind": "must"}, "words"),
        ({"kind": "must", "words": "sea"}, "words"),
        ({"kind": "must", "words": []}, "words"),
        ({"kind": "must_not", "words": ["sea", "..."]}, "words"),
        ({"kind": "begins_with", "text": "！"}, "text"),
        ({"kind": "count", "text": 3, "min": 1}, "text"),
    ],
)
def test_a_wrong_table_is_named(table: object, word: str) -> None:
    found = problem(table)
    assert found is not None
    assert word in found[0]
    assert all(found)


_SIZES = {"min": st.integers(0, 9), "max": st.integers(9, 40)}
_WORDS = st.text(max_size=4).filter(lambda text: any(map(str.isalnum, text)))


def _tables() -> st.SearchStrategy[dict[str, Any]]:
    fields = _SIZES | {
        "unit": st.sampled_from(["words", "characters"]),
        "words": st.lists(_WORDS, min_size=1, max_size=3),
        "text": _WORDS,
    }
    return st.one_of(
        [
            st.fixed_dictionaries({"kind": st.just(kind), **{name: fields[name] for name in names}})
            for kind, names in KINDS.items()
        ]
    )


_ANSWERS = st.one_of(
    st.text(max_size=80), st.text(alphabet="#*_`>-：:“”\"'‘’《》\r\n\u2028 （(a春。.!1", max_size=80)
)


@given(st.lists(_tables(), max_size=4), _ANSWERS, st.sampled_from(["zh", "en", "fr"]))
def test_any_answer_has_a_share(constraints: list[dict[str, Any]], answer: str, language: str) -> None:
    assert all(problem(table) is None for table in constraints)
    share = share_held(constraints, answer, language)
    assert (share is None) == (not constraints)
    assert share is None or 0 <= share <= 1


@given(_tables(), _ANSWERS)
def test_line_ends_do_not_matter(table: dict[str, Any], answer: str) -> None:
    unix = answer.replace("\r\n", "\n").replace("\r", "\n")
    assert check([table], unix, "en") == check([table], unix.replace("\n", "\r\n"), "en")


@pytest.mark.parametrize("unit", ["a ", "'a ", '"', "：", "*", "# ", "_", "(", "春：", "> ", "\n\n"])
def test_a_long_answer_is_read_at_once(unit: str) -> None:
    answer = unit * (100_000 // len(unit))
    everything: list[dict[str, Any]] = [{"kind": "title"}, {"kind": "dialogue", "min": 1}, {"kind": "must", "words": ["sea"]}]
    assert share_held(everything, answer, "en") is not None
