"""In which language a text is written, told by its script and its commonest words.

Only prose is looked at: code, formulae, addresses, acronyms and names of variables belong to no language, and a foreign
word in quotation marks or brackets is a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Prose", "detected_language"]

_QUOTED_KANA = r"[“\"'‘「『（(《【][\s\u3040-\u30ff、。！？!?・ー]+[”\"'’」』）)》】]"
_NO_PROSE = re.compile(
    r"(?P<fence>`{3,}|~{3,})[\s\S]*?(?:(?P=fence)|\Z)"
    r"|`[^`\n]+`"
    r"|\$\$[\s\S]{1,400}?\$\$|\$[^$\n]{1,200}\$|\\\([\s\S]{1,400}?\\\)|\\\[[\s\S]{1,400}?\\\]"
    r"|\\begin\{\w{1,20}\*?\}[\s\S]{0,400}?\\end\{\w{1,20}\*?\}|\\[A-Za-z]+"
    r"|\bhttps?://\S+"
    r"|</?[A-Za-z][^<>\n]{0,80}>"
    r"|" + _QUOTED_KANA
)
# Words with what may stick to them: a file (run.py), an option (--all), an address, a name (x_1, H2O).
_CHUNK = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff0-9_.@=^'’-]+")
_NAME = re.compile(r"[\d_@=^]|[^\W\d_]\.[^\W\d_]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef]")
_CHINESE = re.compile(r"[这這们們吗嗎呢吧么麼你她说說很没沒让讓是的了]")  # hardly ever stand in Japanese
_KANA_RUN = re.compile(r"[\u3041-\u309f\u30a1-\u30fa\u30fc\u30fe\u30ff]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][A-Za-z]+)?")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u0590-\u06ff\u0900-\u0e7f\u10a0-\u10ff]{2,}")
_ACCENT = re.compile(r"[\u00c0-\u024f\u1e00-\u1eff]")
# Words that English cannot do without and other languages in Latin letters do not have ...
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the and of to is are was were that it its with for this these from which by they be been when because you your not "
        "have has he she his her their at or if but there what will would can",
    )
)
# ... and those of other languages (French, German, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Turkish, Indonesian,
# Vietnamese) that English does not have.
_FOREIGN = frozenset(
    re.findall(
        r"\w+",
        "le la les des et est une dans que qui pour du sur avec pas sont ce cette il elle "
        "der das und ist nicht ein eine mit von zu auf sich den dem des im auch wird werden durch "
        "el los las y en del por con para es se su como más todo "
        "di che un per non della dei gli sono nel alla anche più "
        "os uma em não da do ao mais "
        "het een van niet dat op zijn ook wordt "
        "jest nie się na że oraz przez och är som att det inte ett för av bir ve bu için ile yang dan ini itu dengan untuk dari "
        "là và của các không được một trong",
    )
) - _ENGLISH
_LONG_WORD = 4  # letters; shorter ones may be small in a title
_DOMINANT = 0.7
_SENTENCE, _ENGLISH_SHARE = 6, 0.08
_JAPANESE_SHARE = 0.1
_FOREIGN_LEAST, _FOREIGN_SHARE = 2, 0.1
_ACCENTED_LEAST, _ACCENTED_SHARE, _ACCENTED_PER_ENGLISH = 3, 0.2, 4


@dataclass(frozen=True, slots=True)
class Prose:
    """What a text's prose is made of; a Chinese character weighs as much as half a word.

    Attributes:
        han: Chinese characters, halved.
        other: words in other scripts (kana and Hangul characters, halved).
        words: words in Latin letters.
        japanese: whether Chinese characters alternate with kana.
        english: how many of ``words`` are among the commonest of English; likewise foreign.
        accented: how many of ``words`` hold a letter that English does not have.
        capital: whether every longer one of ``words`` that is no common one begins with a capital, as in a title or a list of names.
    """

    han: float
    other: float
    words: int
    japanese: bool
    english: int
    foreign: int
    accented: int
    capital: bool

    @classmethod
    def of(cls, text: str) -> Prose:
        """Looks at a text."""
        prose = _NO_PROSE.sub(" ", text)
        runs = _KANA_RUN.findall(prose)
        kana, han = sum(map(len, runs)) / 2, len(_HAN.findall(prose)) / 2
        written = list(_words(prose))
        words = [word.lower().replace("’", "'") for word in written]
        named = [word for word in written if len(word) >= _LONG_WORD and word.lower() not in _ENGLISH]
        foreign = [word for word in (word.partition("'")[0] for word in words) if word in _FOREIGN]
        mixed = len(runs) > max(1, len(_CHINESE.findall(prose))) and kana > _JAPANESE_SHARE * (han + kana)
        return cls(
            han=han,
            other=kana + len(_HANGUL.findall(prose)) / 2 + len(_OTHER_SCRIPT.findall(prose)),
            words=len(words),
            japanese=bool(kana) and (mixed or kana > han),
            english=sum(word in _ENGLISH for word in words),
            foreign=len(foreign) if len(set(foreign)) > 1 else 0,  # one alone may be a sound ("la la la")
            accented=sum(_ACCENT.search(word) is not None for word in words),
            capital=bool(named) and all(word[0].isupper() for word in named),
        )

    @property
    def total(self) -> float:
        """Weight of everything."""
        return self.han + self.other + self.words

    @property
    def language(self) -> str | None:
        """As :func:`detected_language`."""
        if not self.total:
            return None
        if self.japanese and self.han + self.other >= _DOMINANT * self.total:
            return "other"
        if self.han >= _DOMINANT * self.total:
            return "zh"
        if self.other >= _DOMINANT * self.total:
            return "other"
        if self.words < _DOMINANT * self.total:
            return None
        return "other" if self._is_foreign else "en"

    def speaks_another(self, language: str) -> bool:
        """Whether the text surely is in another language than the one asked for, ``zh`` or ``en``.

        A term, a name, a title or a list of them may stand in Latin letters whatever was asked for; a sentence may not.
        """
        found = self.language
        if found is None or found == language:
            return False
        if found == "zh" or self.words < _DOMINANT * self.total:
            return True
        if found == "other":
            return self.words >= _SENTENCE
        few = not self.han and self.words >= _SENTENCE and self.english >= 1
        return not self.capital and (few or self.english >= max(2, _ENGLISH_SHARE * self.words))

    @property
    def _is_foreign(self) -> bool:
        """Whether the words in Latin letters speak another language than English."""
        if self.foreign >= max(_FOREIGN_LEAST, _FOREIGN_SHARE * self.words) and self.foreign > self.english:
            return True
        many = max(_ACCENTED_LEAST, _ACCENTED_SHARE * self.words)
        return self.accented >= many and self.accented > _ACCENTED_PER_ENGLISH * self.english


def _words(prose: str) -> Iterator[str]:
    """Words in Latin letters, without names of things in code, acronyms and single letters."""
    for chunk in _CHUNK.findall(prose):
        if chunk[0] == "-" or _NAME.search(chunk):
            continue
        for word in _LATIN_WORD.findall(chunk):
            acronym = word[1:] != word[1:].lower() and word.lower() not in _ENGLISH  # TCP, GPUs, PyTorch
            if len(word) > 1 and not acronym:
                yield word


def detected_language(text: str) -> str | None:
    """``zh``, ``en``, ``other``, or None when the text is mixed or holds no prose.

    By script, and in Latin letters by the commonest words: ``en`` unless other languages' words or accented letters prevail.
    """
    return Prose.of(text).language
