"""The texts to learn from: everything of the suite, varied like the collector's own requests."""

from __future__ import annotations

import random
import re

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
    assert corpus.suite_pairs(items) == [corpus.Pair(("Why?",), ("Because.",))]


def test_general_pairs_come_in_both_languages():
    chinese = [pair for pair in corpus.general_pairs() if not pair.questions[0].isascii()]
    assert len(chinese) > 15
    assert len(corpus.general_pairs()) - len(chinese) > 15


def test_variations_keep_the_answer_and_carry_the_nonce():
    item = next(i for i in load_suite().items if i.language == "zh")
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
