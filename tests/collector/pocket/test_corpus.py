"""The texts to learn from: everything of the suite, varied like the collector's own requests."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from collector.pocket import corpus
from collector.suite import Item, load_suite


def test_every_shipped_item_with_a_reference_is_learnt():
    asked = {question for pair in corpus.pairs() for question in pair.questions}
    assert {item.prompt for item in load_suite().items if item.references} <= asked


def test_items_without_reference_are_left_out():
    items = [
        Item("a", "qa", "short", "en", "Why?", ("Because.",)),
        Item("b", "creative", "short", "en", "Write a poem."),
    ]
    assert corpus.suite_pairs(items) == [corpus.Pair(("Why?",), ("Because.",), "quiz")]


def test_every_group_is_there_and_is_drawn_by_its_share():
    pairs = corpus.pairs()
    assert {pair.group for pair in pairs} == set(corpus.GROUPS)
    assert abs(sum(corpus.GROUPS.values()) - 1) < 1e-9
    rng = random.Random(1)
    seen = Counter(corpus.drawn(pairs, rng).group for _ in range(2000))
    assert all(abs(seen[group] / 2000 - share) < 0.04 for group, share in corpus.GROUPS.items())
    assert corpus.drawn([corpus.Pair(("a",), ("b",), "long")], rng).answers == ("b",)


def test_only_plain_questions_lose_sentences():
    pair = corpus.Pair(("Read this. It has facts. Sum it up.",), ("Facts.",), "medium")
    rng = random.Random(2)
    assert all(corpus.varied(pair, rng).question.endswith("Sum it up.") for _ in range(100))


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [
        ("One. Two. Three.", 100, "One. Two. Three."),
        ("One. Two. Three.", 10, "One. Two."),
        ("一句。两句。三句。", 6, "一句。两句。"),
        ("A first.\n\nA second one. More.\n\nThird.", 30, "A first.\n\nA second one. More."),
        ("Code:\n```python\na = 1\n\nb = 2\n\nc = 3\n```", 36, "Code:\n```python\na = 1\n\nb = 2\n```"),
        ("Withoutanend", 5, "Withoutanend"),
    ],
)
def test_shortened_ends_with_a_paragraph_or_sentence(text, room, short):
    assert corpus.shortened(text, lambda part: len(part) <= room) == short


def test_general_pairs_come_in_both_languages():
    chinese = [pair for pair in corpus.general_pairs() if not pair.questions[0].isascii()]
    assert len(chinese) > 15
    assert len(corpus.general_pairs()) - len(chinese) > 15


def test_variations_keep_the_answer_and_carry_the_nonce():
    item = next(i for i in load_suite().select(tasks=("qa",), loads=("short",)).items if i.language == "zh")
    pair = corpus.suite_pairs([item])[0]
    rng = random.Random(1)
    examples = [corpus.varied(pair, rng) for _ in range(300)]
    assert {example.answer for example in examples} == set(item.references)
    marked = [example for example in examples if re.match(r"\[[0-9a-f]{8}\]\n", example.question)]
    assert 0.6 < len(marked) / len(examples) < 0.9
    whole = [example for example in examples if example.question.endswith(item.prompt)]
    assert 0.5 < len(whole) / len(examples) < 0.8
    assert all(example.question.strip() for example in examples)


def test_a_shortened_question_keeps_its_first_sentence():
    pair = corpus.Pair(("Explain why ice floats. Say more. Use words.",), ("Ice is less dense.",))
    rng = random.Random(2)
    questions = {re.sub(r"^\[.*\]\n", "", corpus.varied(pair, rng).question) for _ in range(200)}
    assert "Explain why ice floats." in questions
    assert "Explain why ice floats. Say more." in questions
    assert any(question.startswith("Can you explain") or question.startswith("Tell me") for question in questions)
    assert all("ice floats" in question for question in questions)


def test_same_seed_same_examples():
    pairs = corpus.pairs()
    first, second = random.Random(3), random.Random(3)
    assert [corpus.varied(p, first) for p in pairs] == [corpus.varied(p, second) for p in pairs]


def test_texts_hold_every_question_and_answer():
    pairs = corpus.pairs()
    assert {text for pair in pairs for text in (*pair.questions, *pair.answers)} <= set(corpus.texts(pairs))
