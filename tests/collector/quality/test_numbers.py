"""Numbers in one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.match import match
from collector.quality.numbers import in_digits
from collector.suite import load_suite


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("4.19e4", "41900"), ("41,900", "41900"), ("4.19×10^4", "41900"), ("4.19 × 10⁴", "41900"), ("4.19*10**4", "41900"),
        ("4.19 \\times 10^{4}", "41900"), ("4.19万", "41900"), ("10⁻³", "0.001"), ("1e-3", "0.001"), ("10的3次方", "1000"),
        ("1 234 567", "1234567"), ("1.5 million", "1500000"), ("three hundred", "300"), ("twenty-five", "25"),
        ("三百四十", "340"), ("一百零八", "108"), ("十二个", "12个"), ("两个", "2个"), ("二〇二四年", "2024年"), ("一九四九年", "1949年"),
        ("三点一四", "3.14"), ("百分之五十", "50%"), ("一百万", "1000000"), ("1.5亿", "150000000"), ("三万八千", "38000"),
        ("兩萬", "20000"), ("一千克", "1千克"), ("第三定律", "第三定律"), ("3.0", "3"), ("0.50", "0.5"), ("3.10", "3.10"), ("1.0.0", "1.0.0"),
        ("50 percent", "50%"), ("１２３", "123"), ("300km", "300 km"), ("m/s²", "m/s2"), ("h2o", "h2o"),
        ("百分之", "百分之"), ("三四个", "三四个"), ("万一", "万一"), ("千万不要", "千万不要"), ("十分重要", "十分重要"), ("百姓", "百姓"),
        ("一些", "一些"), ("统一三国", "统一三国"), ("in 1969 400 people", "in 1969 400 people"), ("e4", "e4"), ("−3.5", "minus 3.5"), ("10-40", "10-40"), ("- 40", "- 40"), ("负5", "minus 5"),
    ],
)  # fmt: skip
def test_by_hand(written: str, digits: str) -> None:
    assert in_digits(written) == digits


@pytest.mark.parametrize(
    ("answer", "accepted", "held"),
    [
        ("约为41,900焦耳", "4.19e4", True),
        ("It is 4.19e4 J.", "41,900", True),
        ("声速约为三百四十米每秒", "340米", True),
        ("The Moon is 384,400km away.", "384400 km", True),
        ("共有八颗行星", "8", True),
        ("In 1969 400 people watched.", "1969", True),
        ("It is 41,901 J.", "4.19e4", False),
        ("It is 14.19e4 J.", "4.19e4", False),
        ("这一点十分重要", "10", False),
        ("no one", "1", False),
        ("It is 40 °C.", "-40", False),
        ("It is −40 °C.", "-40", True),
        ("零下四十度", "-40", True),
        ("minus 40 degrees", "-40 degrees", True),
        ("from 10-40 °C", "-40", False),
        ("- 40 people\n- 50 dogs", "40", True),
        ("about -40", "40", True),
    ],
)
def test_answers_hold_numbers_by_value(answer: str, accepted: str, held: bool) -> None:
    assert match(answer, [accepted]) is held


def test_values_are_not_found_more_often_in_other_items_than_words() -> None:
    items = load_suite().select(["qa"], ["short"]).items
    pairs = [(a, b) for a in items for b in items if a.id != b.id and a.language == b.language]
    held = [match(b.references[0], a.payload["answers"]) for a, b in pairs]
    assert sum(map(bool, held)) / len(held) < 0.05


@given(st.integers(1, 10**12))
def test_whole_numbers_keep_their_value(number: int) -> None:
    assert in_digits(f"{number:,}") == in_digits(str(number)) == str(number)


@given(st.text(max_size=80))
def test_writing_out_is_stable_in_length(text: str) -> None:
    assert len(in_digits(text)) <= 200 * (len(text) + 1)


@pytest.mark.parametrize("unit", ["1,000", "9e9 ", "百", "三百", "1 ", "1.0", "ten ", "10^9", "万亿", "一", "1"])
def test_long_odd_texts_are_written_out(unit: str) -> None:
    assert in_digits(unit * (20_000 // len(unit)))
