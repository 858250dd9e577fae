"""Whether an answer refuses the task, in English and Chinese (both scripts).

A refusal is said in the first person, near the beginning, about the request itself, and little follows. The same words in a
character's mouth, about the subject ("we cannot explain superconductivity without quantum mechanics") or before a whole
answer are none.
"""

from __future__ import annotations

import re

from collector.suite.tokens import token_estimate

__all__ = ["refuses"]

_BEGINS_WITHIN = 80  # characters
_LONGEST = {"creative": 80}  # estimated tokens; a longer text is an answer, whatever it begins with
_LONGEST_ELSE = 200

_VERBS_EN = (
    "help|assist|answer|provide|discuss|fulfil|fulfill|comply|complete|do|explain|describe|write|generate|create|produce|"
    "summari[sz]e|translate|give|offer|engage|continue|support|respond|share|tell|access|browse|open|read|participate|proceed|"
    "process|analy[sz]e|review|recommend|compose|craft|accommodate|satisfy|perform|carry out|execute|comment|speak"
)
_NOUNS_EN = (
    "request|question|quer(?:y|ies)|task|topic|text|article|passage|stor(?:y|ies)|poem|summar(?:y|ies)|answer|explanation|"
    "response|repl(?:y|ies)|code|program|function|content|information|essay|translation|description|document|prompt|"
    "assistance|advice|solution|opinion|analysis|details?|link|website|image|material"
)
_OBJECT_EN = (
    rf"\s+(?:(?:you|with|to|on|in|for|about|regarding)\s+)*"
    rf"(?:you\b|this\b|that\b|these\b|those\b|it\b|so\b|here\b|further\b|any\b|such\b|information\b"
    rf"|(?:(?:an?|the|any|your|complete|full|detailed|specific|personal|explicit|medical|legal|financial|requested|more|external|online|real-time)\s+)*(?:{_NOUNS_EN})s?\b)"
)
_CANNOT_EN = (
    r"(?:ca(?:n|nno)['’]?t|can\s?not|cannot|am (?:currently |just |really )?(?:unable|not able|not allowed|not permitted) to"
    r"|won['’]?t(?: be able to)?|will not(?: be able to)?|must (?:respectfully )?decline to|(?:respectfully )?(?:refuse|decline) to"
    r"|(?:do not|don['’]?t) have the (?:ability|capability|means|information) to|(?:do not|don['’]?t) feel comfortable)"
)
_REFUSALS_EN = (
    rf"\bi['’]?(?: ?a?m)? ?(?:just |simply |really )?(?:{_CANNOT_EN}|(?:unable|not able|not allowed) to) (?:\w+ )?(?:{_VERBS_EN})"
    rf"(?:{_OBJECT_EN}|\s*(?:[.,;:!?]|$))"
    r"|\bi (?:must |have to |will have to |respectfully )?decline (?:to answer|this|that|your)\b|\bi must decline\b"
    r"|\bi(?: do not|['’]m not| am not| don['’]t) (?:feel )?comfortable (?:with )?(?:\w+ing|this|that)\b"
    r"|\bi (?:do not|don['’]t) have (?:direct )?access to (?:the|this|that|your|any|external|real)\b"
    r"|\bas an? (?:\w+ )?(?:ai|artificial intelligence|language model|llm|assistant(?! professor)|chatbot)(?: [\w-]+){0,6},? i(?:['’]m| am)?\b"
    r"[^.!?\n]{0,60}?(?:can(?:no|['’])?t|cannot|can not|unable|not able|don['’]?t|do not|not capable|not allowed|won['’]?t)\b"
    r"|\b(?:sorry|i['’]m afraid)[,.]? (?:but )?i (?:can['’]?t|cannot)[.!]?\s*$"
    r"|\bi(?:['’]m| am) not (?:programmed|designed|trained) to\b"
    r"|\b(?:against|violates?|violation of) (?:my|our|the) (?:\w+ )?(?:guidelines|polic(?:y|ies)|programming|principles)\b"
)

_SELF_ZH = r"(?<![自忘大小])(?:我(?!们)|本人|本助手|本模型|作为助手)"
_HOW_ZH = r"(?:[暂目现时前在实确恐怕可能真的也还并是个人非常很遗憾地，]{0,8})"
_CANNOT_ZH = r"(?:无法|不能(?!不)|没办法|没有办法|没法|不便|不可以|不会(?!写)|拒绝|没有能力|不具备|没有权限|难以)"
_TO_ZH = r"(?:[为给帮向替对就](?:您|你|此|该|这|大家)[^，。！？\n]{0,6}|直接|继续|具体|准确|提供){0,3}"
_VERBS_ZH = (
    r"(?:回答|答复|提供|帮助|协助|帮忙|完成|解释|讨论|满足|处理|执行|生成|创作|撰写|写|编写|总结|概括|翻译|访问|浏览|获取|查看|评论|参与|"
    r"给出|做出|作出|给到|给予|继续|描述|介绍|输出)"
)
_OBJECT_ZH = (
    r"(?=[^，。！？\n]{0,10}?(?:这|该|您|你|此|相关|任务|请求|要求|问题|内容|信息|资讯|故事|文章|文本|作品|帮助|协助|意见|建议|链接|资料|服务|代码|诗|"
    r"答案|摘要|观点)|[^\w]|$)"
)
_SORRY_ZH = r"(?:抱歉|对不起|很遗憾|不好意思|请原谅|请谅解|请见谅|恕)"
_REFUSALS_ZH = (
    rf"{_SELF_ZH}{_HOW_ZH}{_CANNOT_ZH}{_TO_ZH}{_VERBS_ZH}{_OBJECT_ZH}"
    rf"|{_SORRY_ZH}[，,。！!\s]*(?:但|但是|不过)?(?:我们?|本助手)?{_HOW_ZH}{_CANNOT_ZH}{_TO_ZH}(?:{_VERBS_ZH}|理解|识别|作答)"
    rf"{_OBJECT_ZH}"
    r"|\A(?:无法|不能|拒绝)(?:回答|作答|提供)|超出了?我的(?:能力|知识|权限)|我还(?:没有?学会|在学习)(?:如何)?回答"
    rf"|(?:作为|我是|我只是|身为)(?:一个|一名|一款|一位|个)?[^，。！？\n]{{0,8}}(?:人工智能|ai|语言模型|大模型|聊天机器人|助手)[^。！？\n]{{0,30}}?{_CANNOT_ZH}"
)
_REFUSAL = re.compile(f"{_REFUSALS_EN}|{_REFUSALS_ZH}")
_TRADITIONAL = str.maketrans(
    "無對遺請這該問題訊資協幫釋總結討論處執寫創編譯訪覽獲語個為們沒辦應讓滿給說進內見諒絕難權機輸紹詩觀點準確歉複雜實現暫時還並關連務",
    "无对遗请这该问题讯资协帮释总结讨论处执写创编译访览获语个为们没办应让满给说进内见谅绝难权机输绍诗观点准确歉复杂实现暂时还并关连务",
)
_QUOTES = "\"'“‘「『«„"
# Somebody in a story says it: a verb of speech right behind the words or their clause.
_TOLD = re.compile(
    r"[^.!?\n]{0,40}[,.!?][”\"'’]*\s+(?:\w+\s+){0,4}(?:said|says|replied|whispered|asked|answered|murmured|cried|wrote|told|thought)\b"
    r"|[^。！？\n]{0,20}[，。！？,”」』\"][”」』\"]?[^，。！？\n]{0,8}(?:说|问|答|道|喊|写道|想)[^\w]"
)


def refuses(text: str, task: str) -> bool:
    """Whether an answer to ``task`` is a refusal."""
    if "```" in text or token_estimate(text) > _LONGEST.get(task, _LONGEST_ELSE):
        return False
    plain = text.strip().lower().translate(_TRADITIONAL)
    for found in _REFUSAL.finditer(plain[: 4 * _BEGINS_WITHIN]):
        if found.start() >= _BEGINS_WITHIN:
            break
        before = plain[: found.start()].rstrip()
        quoted = any(before.count(mark) > before.count(end) for mark, end in ("“”", "「」", "『』")) or before.count('"') % 2
        if quoted or before.endswith(tuple(_QUOTES)):
            continue
        if task != "creative" or not _TOLD.match(plain, found.end()):
            return True
    return False
