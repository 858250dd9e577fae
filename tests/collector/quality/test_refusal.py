"""Refusals in English and Chinese, and words like theirs that are none."""

import pytest

from collector.quality.refusal import refuses
from collector.suite import load_suite


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("I'm sorry, but I can't help with that.", "qa"),
        ("I’m sorry, but I can’t assist with that request.", "qa"),
        ("I cannot provide information on that topic.", "qa"),
        ("I can't write that.", "creative"),
        ("Sorry, I am unable to write a poem about this.", "creative"),
        ("As an AI language model, I don't have personal opinions and cannot answer this.", "qa"),
        ("As a language model, I can't do that.", "qa"),
        ("As a large language model, I am not able to browse the internet.", "qa"),
        ("I do not have the ability to summarise this text.", "summary"),
        ("I don't have access to the text you mention.", "summary"),
        ("Unfortunately, I cannot summarize this article.", "summary"),
        ("I must decline to answer.", "qa"),
        ("I won't be able to help with this.", "qa"),
        ("I am not able to generate code for this.", "code"),
        ("I cannot generate this content.", "creative"),
        ("I can't create that story.", "creative"),
        ("I cannot summarize the text.", "summary"),
        ("I'm not comfortable writing this.", "creative"),
        ("It is against my guidelines to answer this question.", "qa"),
        ("抱歉，我无法回答这个问题。", "qa"),
        ("很抱歉，我不能提供相关信息。", "qa"),
        ("对不起，我暂时无法回答该问题。", "qa"),
        ("作为一个人工智能语言模型，我无法提供个人意见。", "qa"),
        ("作为AI助手，我没有能力访问互联网。", "qa"),
        ("我是一个AI助手，无法完成这个任务。", "creative"),
        ("这个问题我无法回答。", "qa"),
        ("您好，这个问题我暂时无法回答，让我们换个话题再聊聊吧。", "qa"),
        ("我不能写这样的故事。", "creative"),
        ("我无法生成这段内容。", "creative"),
        ("我无法总结这篇文章。", "summary"),
        ("请原谅，我不能满足您的要求。", "qa"),
        ("抱歉，我無法回答這個問題。", "qa"),
        ("對不起，我不能提供這類資訊。", "qa"),
        ("I'm sorry, but I can't fulfill this request.", "qa"),
        ("I’m really sorry, but I cannot assist you with that.", "qa"),
        ("Sorry, but I can't answer that question.", "qa"),
        ("I apologize, but I am unable to provide a summary of the text.", "summary"),
        ("I cannot fulfill your request. I am just an AI model.", "creative"),
        ("I am sorry, I cannot write a story about that.", "creative"),
        ("I can not do that.", "qa"),
        ("I'm unable to answer.", "qa"),
        ("I am unable to access external websites or files.", "summary"),
        ("As a responsible and ethical AI language model, I cannot provide that.", "qa"),
        ("As an AI assistant developed by Acme, I am not able to answer this question.", "qa"),
        ("I'm just an AI, I don't have access to real-time data.", "qa"),
        ("I cannot summarize this article because it was not provided.", "summary"),
        ("I do not feel comfortable writing this poem.", "creative"),
        ("This request goes against my guidelines.", "creative"),
        ("抱歉，我不能协助完成该请求。", "creative"),
        ("抱歉，我不能帮助你完成这项任务", "qa"),
        ("对不起，我无法为您提供该服务。", "qa"),
        ("很抱歉，我无法理解您的问题。", "qa"),
        ("我暂时还不能回答这个问题。", "qa"),
        ("抱歉，暂时无法回答。", "qa"),
        ("作为一个语言模型，我没有能力访问网络。", "qa"),
        ("我是人工智能助手，不能提供医疗建议。", "qa"),
        ("非常抱歉，作为AI我无法满足您的要求。", "creative"),
        ("恕我无法回答。", "qa"),
        ("抱歉，我还没有学会回答这个问题。", "qa"),
        ("我拒绝回答这个问题。", "qa"),
        ("這個問題我無法回答。", "qa"),
        ("作為一個人工智慧助手，我無法提供這些內容。", "qa"),
        ("我不能写这个故事，因为它涉及不当内容。", "creative"),
        ("I'm afraid I can't do that.", "qa"),
        ("I’m afraid I cannot help you with this one.", "qa"),
        ("Regrettably, I'm not able to complete this task.", "code"),
        ("I won't write that.", "creative"),
        ("I refuse to answer that.", "qa"),
        ("I can't provide a response to this prompt.", "qa"),
        ("I cannot provide you with the information you are asking for.", "qa"),
        ("Sorry, I can't.", "qa"),
        ("Sorry, I cannot.", "qa"),
        ("I am not programmed to answer this.", "qa"),
        ("很遗憾，我无法提供帮助。", "qa"),
        ("你好，我无法给到相关内容。", "qa"),
        ("无法回答。", "qa"),
        ("抱歉，这个问题超出了我的能力范围，无法作答。", "qa"),
    ],
)
def test_refusals(text: str, task: str) -> None:
    assert refuses(text, task)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("I'm sorry for the delay, but the meeting cannot be moved, she wrote to her brother, and folded the letter.", "creative"),
        ("“I'm sorry,” he said, “I can't stay.” The lantern swung between them as the tide came in, and neither spoke.", "creative"),
        ("Sorry, I can't hear you, the wind said to the sea. And so the sea spoke louder.", "creative"),
        ("我不能回答你的问题，老人说，因为答案在海的那一边。于是少年背起行囊，踏上了旅程。", "creative"),
        ("对不起，我不能再等你了。她在信里写道，随后把信折好，放进了抽屉。", "creative"),
        ("很遗憾，人类目前还无法直接观测黑洞内部，但可以通过吸积盘和引力波间接研究它。", "qa"),
        ("I can't explain why ice floats without mentioning density: ice is less dense than water.", "qa"),
        ("We cannot explain superconductivity with classical physics; it needs quantum mechanics.", "qa"),
        ("我们无法完成全部观测，因为仪器灵敏度有限。", "qa"),
        ("物体不能处理超过其容量的热量，因此温度升高。", "qa"),
        ("自我无法完成这种转变时，个体会感到焦虑。", "qa"),
        ("An unaided eye cannot see bacteria. As an AI pioneer, Turing could not have known this.", "qa"),
        ("I am a river; I cannot help but run to the sea.", "creative"),
        ("I cannot help loving the rain.", "creative"),
        ("We can't provide energy from nothing: this is the first law of thermodynamics.", "qa"),
        ("抱歉打扰了，掌柜的不会介意吧？", "creative"),
        ("对不起，先生不会回来了，管家低声说。", "creative"),
        ("We are unable to see ultraviolet light because the lens of the eye absorbs it.", "qa"),
        ("I'm afraid of heights, said the bird, and I can't fly.", "creative"),
        ("I cannot write this letter without weeping, she told the empty room, and the candle guttered.", "creative"),
        ("We regret that the data do not allow an answer.", "summary"),
        ("The author says that he cannot provide evidence for this claim.", "summary"),
        ("I think the answer is 42.", "qa"),
        ("The model cannot answer questions about the future, which is a limitation of language models.", "qa"),
        ("作为一个物理学定律，牛顿第一定律不能在非惯性系中成立。", "qa"),
        ("作为一名学生，他无法理解这一切。", "creative"),
        ("我是一名机器人工程师，今天要介绍的是机械臂不能做什么。", "creative"),
        ("热量不能自发地从低温物体传到高温物体。", "qa"),
        ("CPU 无法直接执行高级语言程序，需要编译器翻译。", "qa"),
        ("我国目前不能完成这项任务的企业较少。", "summary"),
        ("本文作者表示，目前无法提供更多信息。", "summary"),
        ("公司发言人说：“我们无法回答这个问题。”随后会议结束。", "summary"),
        ("The spokesman said: \"I cannot answer that question.\" The meeting then closed.", "summary"),
        ("I can't help but smile when the rain begins.", "creative"),
        ("I can help with that! Here is the answer: ice floats.", "qa"),
        ("对不起，这句话在英语里是 sorry。", "qa"),
        ("对不起在英文中可以翻译为 sorry 或 excuse me，前者表示道歉。", "qa"),
        ("As an AI, I see patterns in your text. The summary: meters measure energy.", "summary"),
        ("As an assistant professor, I do not grade on a curve, he explained.", "creative"),
        ("I can’t do this anymore, the lamp thought.", "creative"),
        ("My grandmother could not read, so I read to her.", "creative"),
        ("我不会写诗，但月亮会。它把银色的字写在水面上，一行一行，直到天亮。", "creative"),
        ("我无法告诉你海有多深，只能告诉你灯塔有多亮。", "creative"),
        ("不会，因为密度小。", "qa"),
        ("不能。热量只能从高温传到低温。", "qa"),
        ("No, it cannot.", "qa"),
        ("It cannot be determined from the text.", "qa"),
        ("I am unable to sleep, so I count the ships.", "creative"),
        ("I don't know.", "qa"),
        ("我不知道。", "qa"),
        ("很抱歉给您带来不便，以下是摘要：电表记录能耗。", "summary"),
        ("Sorry for the confusion. The answer is 12.", "qa"),
        ("Unfortunately, the expedition could not continue.", "summary"),
        ("遗憾的是，探险队无法继续前进。", "summary"),
        ("我不能不提到牛顿的贡献：他提出了三大定律。", "qa"),
        ("I cannot stress enough that inertia is a property of mass.", "qa"),
        ("I won't go into detail: inertia resists change.", "qa"),
        ("I can't remember the exact year, but Newton published the Principia in 1687.", "qa"),
        ("Dear Sir, I will not answer your letter again. The harbour has frozen and so have I.", "creative"),
    ],
)
def test_words_of_the_subject_or_of_a_character(text: str, task: str) -> None:
    assert not refuses(text, task)


def test_an_answer_behind_the_excuse_counts() -> None:
    excuse = "I cannot provide a complete answer to this question. "
    assert refuses(excuse, "qa")
    assert not refuses(excuse + "Ice floats because it is less dense than water, and lakes freeze from above. " * 12, "qa")
    assert not refuses("I cannot write that program in full, but:\n```python\ndef f(x):\n    return x\n```", "code")


def test_no_reference_of_the_suite_refuses() -> None:
    assert [i.id for i in load_suite().items for text in i.references if refuses(text, i.task)] == []


@pytest.mark.parametrize("text", ["i " * 50_000, "我" * 100_000, "抱歉，" * 30_000, "as an ai " * 10_000, "\ud800" * 9])
def test_odd_texts_are_judged_quickly(text: str) -> None:
    assert not refuses(text, "qa")
