"""Which language a text is in, and which answers surely are in another one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.quality.language import Prose, detected_language
from collector.suite import load_suite

EN = "Ice floats because it is less dense than water, and the lake below stays liquid for the fish."
ZH = "冰的密度比水小，所以会浮在水面上，湖里的鱼可以在冰下面过冬。"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (EN, "en"),
        (ZH, "zh"),
        ("42", None),
        ("", None),
        ("E=mc² $\\alpha$ H2O", None),
        ("内存也叫 RAM，速度很快，关机以后数据会丢失，程序运行时使用。", "zh"),
        ("牛頓第一定律，也稱為慣性定律。", "zh"),
        ("Лёд плавает, потому что он легче воды.", "other"),
        ("氷は水より軽いので水に浮かびます。", "other"),
        ("얼음은 물보다 가벼워서 뜹니다.", "other"),
        (
            "Das Eis schwimmt auf dem Wasser, weil es leichter ist, und die Fische leben im Winter unter dem Eis im See weiter.",
            "other",
        ),
        ("牛顿定律 first law says 物体运动 keeps 静止 moving", None),
    ],
)
def test_language_by_script_and_words(text: str, language: str | None) -> None:
    assert detected_language(text) == language


def test_every_prose_text_of_the_suite_is_in_its_language() -> None:
    found = {
        (detected_language(text), item.language)
        for item in load_suite().items
        for text in (item.prompt, *item.references)
        if item.task != "code"
    }
    assert found == {("zh", "zh"), ("en", "en")}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("水的沸点是100°C。", "zh"),
        ("E = mc²", "zh"),
        ("$E=mc^2$", "zh"),
        ("42", "zh"),
        ("答案：TCP/IP、HTTP、DNS", "zh"),
        ("Transformer 模型由 Vaswani 等人在 2017 年的论文 Attention Is All You Need 中提出，核心是 self-attention 机制，使用 multi-head attention、layer normalization、residual connection 和 feed-forward network。", "zh"),
        ("使用 `SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1 ORDER BY name;` 即可。", "zh"),
        ("可以这样写：\n```python\ndef add(a, b):\n    return a + b\n\nfor i in range(10):\n    print(add(i, i))\n```\n该函数返回两数之和。", "zh"),
        ("```python\nimport os\nfor name in os.listdir('.'):\n    print(name)\n```", "zh"),
        ("牛頓第一定律，也稱為慣性定律，指出：一個物體如果不受外力作用，將保持靜止或勻速直線運動狀態。", "zh"),
        ("日本的首都是东京（とうきょう）。", "zh"),
        ("“ありがとう”在日语中是谢谢的意思，“こんにちは”是你好。", "zh"),
        ("CPU、GPU、RAM、SSD", "zh"),
        ("Python", "zh"),
        ("DNA", "zh"),
        ("Isaac Newton（艾萨克·牛顿）", "zh"),
        ("根据题意，x^2 + 2x + 1 = 0，解得 x = -1。", "zh"),
        ("a + b = c, sin(x) = 0, lim f(x) = L", "zh"),
        ("标题：The Great Gatsby\n作者：F. Scott Fitzgerald\n出版年份：1925", "zh"),
        ("The capital is Beijing (北京).", "en"),
        ("Confucius (孔子) said: 己所不欲，勿施于人 — do not do unto others what you would not have done to yourself.", "en"),
        ("北京大学（Peking University）成立于1898年。", "zh"),
        ("Yes.", "en"),
        ("42", "en"),
        ("Paris", "en"),
        ("H2O", "en"),
        ("Photosynthesis converts light energy into chemical energy: 6CO2 + 6H2O → C6H12O6 + 6O2.", "en"),
        ("Silicon, germanium, gallium arsenide, indium phosphide, silicon carbide, gallium nitride, cadmium telluride, zinc selenide, lead sulfide, copper oxide, tin dioxide, boron phosphide", "en"),
        ("1. Hydrogen\n2. Helium\n3. Lithium\n4. Beryllium\n5. Boron\n6. Carbon\n7. Nitrogen\n8. Oxygen\n9. Fluorine\n10. Neon\n11. Sodium\n12. Magnesium\n13. Aluminium\n14. Silicon\n15. Phosphorus\n16. Sulfur\n17. Chlorine\n18. Argon\n19. Potassium\n20. Calcium\n21. Scandium", "en"),
        ("Ice floats on water; frozen lakes shelter fish; winter skaters glide; steam rises; clouds gather; rain falls; rivers run; seas swell; storms break; sun returns", "en"),
        ("Old pond,\nfrog jumps in,\nwater's sound.", "en"),
        ("床前明月光，疑是地上霜。举头望明月，低头思故乡。", "zh"),
        ("ha ha ha said the clown, and then nothing more was heard.", "en"),
        ("一二三四五六七八九十", "zh"),
        ("3.14159265358979", "en"),
        ("1, 1, 2, 3, 5, 8, 13, 21, 34, 55", "en"),
        ("0101010101", "zh"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "zh"),
        ("Résumé, naïve, café", "en"),
        ("Ça va? That is what the French say when they meet you in the morning.", "en"),
        ("В русском языке слово «мир» means both peace and world, and it is used for the title of the novel.", "en"),
        ("中华人民共和国（People's Republic of China, PRC）于1949年10月1日成立。", "zh"),
        ("本文介绍了 LLM（Large Language Model）在 NLP（Natural Language Processing）中的应用，包括 BERT、GPT、T5、LLaMA 等 pre-trained model。", "zh"),
        ("第一步：git clone https://github.com/example/project.git\n第二步：cd project && pip install -r requirements.txt\n第三步：python main.py --config config.yaml", "zh"),
        ("苹果的英文是 apple，香蕉是 banana，葡萄是 grape，西瓜是 watermelon，草莓是 strawberry，樱桃是 cherry。", "zh"),
        ("\\frac{a}{b} + \\sqrt{c} = \\sum_{i=1}^{n} x_i，其中 n 为正整数。", "zh"),
        ("解：\\begin{align} f(x) &= \\int_0^x t dt \\\\ &= \\frac{x^2}{2} \\end{align}", "zh"),
        ("好", "zh"),
        ("The mitochondrion is the powerhouse of the cell.", "en"),
        ("<think>用户问了 what is this</think>牛顿第一定律是惯性定律。", "zh"),
        ("Attention Is All You Need", "zh"),
        ("《Attention Is All You Need》", "zh"),
        ("Gone with the Wind", "zh"),
        ("Ludwig van Beethoven", "zh"),
        ("A. B. C", "zh"),
        ("sin²x + cos²x = 1", "zh"),
        ("import numpy as np\nx = np.array([1, 2, 3])\nprint(x.mean())", "zh"),
        ("Le Petit Prince", "en"),
        ("déjà vu", "en"),
        ("The word “Schadenfreude” is German and means joy at the misfortune of others.", "en"),
        ("Bonjour means hello in French, and au revoir means goodbye.", "en"),
        ("用 Python 写：print('hello world') 即可输出 hello world。", "zh"),
        ("1. **CPU**：中央处理器\n2. **GPU**：图形处理器", "zh"),
        ("HTTP/2 的 HPACK、server push、stream multiplexing 和 flow control", "zh"),
        ("春の海 ひねもすのたり のたりかな —— 这是与谢芜村的俳句，意思是春天的大海整日缓缓起伏。", "zh"),
        ("光合作用：6CO₂+6H₂O→C₆H₁₂O₆+6O₂", "zh"),
        ("Hello", "zh"),
        ("Fa la la la la, la la la la, sing we joyous all together", "en"),
        ("José Martínez from México", "en"),
        ("北京", "zh"),
        ("Zürich, München, Köln, Düsseldorf, Nürnberg, Lübeck and Würzburg are cities where German is spoken.", "en"),
        ("她說：「你好嗎？」", "zh"),
        ("Ὁ Ἀχιλλεύς is the Greek name of Achilles, and it is found in the Iliad.", "en"),
        ("用户名：admin\n密码：password\n命令：sudo apt-get install nginx && systemctl start nginx && systemctl enable nginx", "zh"),
        ("ABSOLUTELY YES, IT IS.", "en"),
        ("数学家 Carl Friedrich Gauss、Leonhard Euler、Bernhard Riemann 与 Srinivasa Ramanujan 对数论贡献巨大", "zh"),
        ("C'est la vie, as the French say, and life goes on.", "en"),
        ("中文和English混在一起说的answer也是acceptable的", "zh"),
    ],
)
def test_terms_names_formulae_and_code_belong_to_every_language(text: str, asked: str) -> None:
    assert not Prose.of(text).speaks_another(asked)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Newton's first law says that an object stays at rest unless acted upon by a force.", "zh"),
        ("Sure! Here is the summary: the article describes how power meters work.", "zh"),
        ("牛顿第一定律是惯性定律。", "en"),
        ("牛頓第一定律是慣性定律。", "en"),
        ("日本の首都は東京です。人口は約千四百万人です。", "zh"),
        ("ニュートンの第一法則は慣性の法則です。", "zh"),
        ("東京は日本の首都であり、世界最大の都市の一つである。", "zh"),
        ("뉴턴의 제1법칙은 관성의 법칙이다.", "zh"),
        ("Первый закон Ньютона: всякое тело продолжает удерживаться в состоянии покоя.", "en"),
        ("La première loi de Newton dit que tout corps persévère dans son état de repos ou de mouvement uniforme en ligne droite si aucune force ne s'y oppose.", "en"),
        ("Das erste Newtonsche Gesetz besagt, dass ein Körper in Ruhe bleibt oder sich gleichförmig bewegt, solange keine Kraft auf ihn wirkt.", "en"),
        ("El primer principio de Newton dice que todo cuerpo persevera en su estado de reposo.", "en"),
        ("Ice is less dense than water.", "zh"),
        ("The capital of China is Beijing (北京).", "zh"),
        ("The boiling point is 100 degrees.", "zh"),
        ("Ice floats because its density is lower.", "zh"),
        ("## Newton's First Law\n\nAn object at rest stays at rest.", "zh"),
        ("1. **Inertia**: objects resist change.\n2. **Force**: causes the change of motion.", "zh"),
        ("水的沸点是一百摄氏度。", "en"),
        ("はい、そうです。", "zh"),
        ("はい、そうです。", "en"),
        ("東京都", "en"),
        ("Wasser siedet bei hundert Grad und das ist nicht viel.", "zh"),
        ("L'eau bout à cent degrés et elle est chaude dans la casserole.", "en"),
        ("Nước sôi ở một trăm độ và là chất lỏng không màu của trái đất.", "en"),
        ("Вода кипит при ста градусах.", "zh"),
        ("L'acqua bolle a cento gradi e non è fredda per gli uomini.", "en"),
        ("A água ferve a cem graus e não é fria para os homens.", "en"),
        ("这是答案。", "en"),
        ("ICE IS LESS DENSE THAN WATER AND THEREFORE IT FLOATS ON IT.", "zh"),
        ("ماء يغلي عند مئة درجة", "en"),
        ("물은 백 도에서 끓는다", "en"),
        ("पानी सौ डिग्री पर उबलता है", "zh"),
        ("Su yüz derecede kaynar ve bu çok sıcak bir sıvıdır.", "en"),
        ("Water kookt bij honderd graden en het is niet koud voor een mens.", "en"),
    ],
)
def test_sentences_in_another_language(text: str, asked: str) -> None:
    assert Prose.of(text).speaks_another(asked)


@pytest.mark.parametrize("unit", ["the ", "$", "`", "(", "\\[ ", "<a", "a.", "_", "A", "“あ", "-a", "a@", "```  ", "\ud800", "\0"])
def test_long_odd_texts_are_judged_quickly(unit: str) -> None:
    detected_language(unit * (100_000 // len(unit)))


@given(st.text(max_size=200))
def test_any_text_gets_a_known_language(text: str) -> None:
    assert detected_language(text) in ("zh", "en", "other", None)
