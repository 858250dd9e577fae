"""Numbers in one spelling, so that 4.19e4, 41,900, 4.19 × 10⁴ and 4.19万 are found for each other.

Digits are written out (no exponent, no thousands separator, no final ``.0``); Chinese numerals and English number words
become digits where they surely count something. ``一`` and ``one`` stay: they are articles as often as numbers. A sign becomes the word *minus*.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

__all__ = ["in_digits", "joined_thousands"]

_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:([,\u2009\u202f ])\d{3})(?:\1\d{3})*(?!\d)")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = re.compile(r"(?<=10)([⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_TIMES = r"\s*(?:[x×*·⋅]|\\times|\\cdot|乘以?)\s*"
_SCIENTIFIC = re.compile(
    rf"(?<![^\W_.])(\d{{1,20}}(?:\.\d{{1,20}})?)(?:{_TIMES}10\s*(?:\^|\*\*|的)\s*\{{?([-+−]?\d{{1,2}})\}}?(?:次方)?|e([-+]?\d{{1,2}}))(?![^\W_]|\.\d)"
)
_BARE_POWER = re.compile(r"(?<![^\W_.])10\s*(?:\^|\*\*|的)\s*\{?([-+−]?\d{1,2})\}?(?:次方)?(?!\d)")
_SCALES = {"万亿": 12, "亿": 8, "万": 4, "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALED = re.compile(rf"(?<![^\W_.])(\d{{1,20}}(?:\.\d{{1,20}})?)\s*({'|'.join(_SCALES)})(?![a-z])")
_PERCENT = re.compile(r"(?<=\d)\s*(?:per ?cent\b|%)")
_FRACTION = re.compile(r"(?<![\d.])(\d+)\.0+(?![\d.])|(?<![\d.])(0\.\d*[1-9])0+(?!\d)")
_MINUS = re.compile(r"(?:(?<![a-z0-9.)\]])[-−–]|零下|负|\b(?:minus|negative)\b)\s*(?=\d)(?<![-−–]\s)")
_UNIT = re.compile(r"(?<![^\W_])(\d+(?:\.\d+)?)(?=[a-z])")

_DIGITS_ZH = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_LONGEST_ZH = 30  # signs; more is no number that anybody writes
_UNITS_ZH = {"十": 10, "百": 100, "千": 1000}
_NUMERAL_ZH = re.compile(r"[零〇一二两三四五六七八九十百千万亿]+(?:点[零〇一二三四五六七八九]+)?")
_COUNTED = (
    "个种条只颗次年月日天时秒米公里克斤吨升度倍名位项层人岁元块周代类部步章页行列阶级维面角边形台座本位支次组对倍成"
)  # what a single numeral counts; 分 is missing, for 十分 means "very"
_METRIC = "克米瓦焦赫卡帕伏安字"  # 一千克 is one kilogram

_NAMES_EN = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_WORDS_EN = {word: value for value, word in enumerate(_NAMES_EN, 2)}
_TENS_EN = {
    word: 10 * value
    for value, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
_ONES_EN = {"one": 1} | {word: value for word, value in _WORDS_EN.items() if value < 10}
_NUMBER_EN = re.compile(rf"\b({'|'.join(_TENS_EN)})(?:[- ]({'|'.join(_ONES_EN)}))?\b|\b({'|'.join(_WORDS_EN)})\b")


def joined_thousands(text: str) -> str:
    """The text without separators inside its numbers: ``41,900`` and ``41 900`` become ``41900``."""
    return _THOUSANDS.sub(lambda found: found[0].replace(found[1], ""), text)


def in_digits(text: str) -> str:
    """The text in lower case with every number written out in digits."""
    text = _POWER.sub(lambda found: "^" + found[1].translate(_RAISED), text)
    text = joined_thousands(unicodedata.normalize("NFKC", text).casefold()).replace("萬", "万").replace("億", "亿").replace("兩", "两")
    text = _NUMERAL_ZH.sub(_from_chinese, text.replace("百分之", "分之%"))
    text = re.sub(r"分之%(\d+(?:\.\d+)?)", r"\1%", text).replace("分之%", "百分之")
    text = _NUMBER_EN.sub(_from_english, text)
    text = _SCIENTIFIC.sub(lambda found: _plain(found[1], int((found[2] or found[3]).replace("−", "-"))), text)
    text = _BARE_POWER.sub(lambda found: _plain("1", int(found[1].replace("−", "-"))), text)
    text = _SCALED.sub(lambda found: _plain(found[1], _SCALES[found[2]]), text)
    text = _MINUS.sub("minus ", text)
    text = _FRACTION.sub(lambda found: found[1] or found[2], _PERCENT.sub("%", text))
    return _UNIT.sub(r"\1 ", text.replace("^", ""))


def _plain(number: str, exponent: int) -> str:
    """``number`` times ten to the ``exponent``, written out."""
    text = f"{Decimal(number).scaleb(exponent):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _from_english(found: re.Match[str]) -> str:
    tens, ones, word = found.groups()
    return str(_WORDS_EN[word] if word else _TENS_EN[tens] + _ONES_EN.get(ones, 0))


def _from_chinese(found: re.Match[str]) -> str:
    """A numeral in digits; what may be no number, or not this one, stays as it is."""
    whole, point, decimals = found[0].partition("点")
    behind = found.string[found.end() : found.end() + 1]
    kilo = "千" if not point and whole.endswith("千") and behind and behind in _METRIC else ""
    body = whole.removesuffix(kilo)
    if len(body) == 1 and not point and (body == "一" or not behind or behind not in _COUNTED + kilo) and not kilo:
        return found[0]
    value = _value(body)
    if value is None:
        return found[0]
    return str(value) + ("." + "".join(str(_DIGITS_ZH[sign]) for sign in decimals) if point else "") + kilo


def _value(numeral: str) -> int | None:
    """Value of a numeral such as 三百四十 or 二〇二四; None for 三四 (three or four), 万一 and the like."""
    if len(numeral) > _LONGEST_ZH:
        return None
    if all(sign in _DIGITS_ZH for sign in numeral):
        clear = len(numeral) != 2 or numeral[0] in "零〇" or numeral[1] in "零〇"
        return int("".join(str(_DIGITS_ZH[sign]) for sign in numeral)) if numeral and clear else None
    for big, factor in (("亿", 10**8), ("万", 10**4)):
        if big in numeral:
            left, _, right = numeral.rpartition(big)
            high, low = _value(left) if left else None, _value(right.removeprefix("零")) if right else 0
            return None if high is None or low is None else high * factor + low
    total, digit, last = 0, None, 10**4
    for sign in numeral:
        if sign in _DIGITS_ZH:
            if digit:
                return None
            digit = _DIGITS_ZH[sign]
        else:
            unit = _UNITS_ZH[sign]
            if unit >= last or (digit is None and (unit != 10 or total)):
                return None
            total, digit, last = total + (1 if digit is None else digit) * unit, None, unit
    return total + (digit or 0)
