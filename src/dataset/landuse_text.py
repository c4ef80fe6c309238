"""Chinese and English wording of the land-use questions: templates, answer words, image names.

Slots: ``{a}`` ``{b}`` classes, ``{unit}`` an area unit, ``{total}`` the area of the whole chip in that unit,
``{img}`` the image of a single-image question, ``{img1}`` ``{img2}`` the earlier and the later image.
"More" and "less" are about land covered, not about numbers of objects as in RSVQA.
The phrasings keep to words by which a question can be routed without its type: yes/no questions
start with a verb (是否, 吗, 有没有), shares say percentage, proportion or how much (占比, 比例,
百分之几), and the class questions avoid all of these (no "area", 面积, "how many").
"""

from src.constants import LAND_CLASS_NAMES

LANGUAGES = ("zh", "en")

# form -> question_type written to the rows: RSVQA's names where it has the type.
QUESTION_TYPES = {
    "presence": "presence",
    "count": "count",
    "comp_more": "comp",
    "comp_less": "comp",
    "rural_urban": "rural_urban",
    "area": "area",
    "dominant": "dominant",
    "share": "share",
    "change_more": "change",
    "change_less": "change",
    "change_loss": "change",
    "change_gain": "change",
    "change_share": "change_share",
}

IMAGE_NAMES = {
    "en": {"img": "the image", "img1": "the first image", "img2": "the second image"},
    "zh": {"img": "图像", "img1": "第一期图像", "img2": "第二期图像"},
}

UNIT_NAMES = {
    "en": {"mu": "mu", "ha": "hectares", "km2": "square kilometres"},
    "zh": {"mu": "亩", "ha": "公顷", "km2": "平方公里"},
}
UNIT_SYMBOLS = {
    "en": {"mu": " mu", "ha": " ha", "km2": " km2"},
    "zh": {"mu": "亩", "ha": "公顷", "km2": "平方公里"},
}

# Canonical answer -> short answer; classes come from LAND_CLASS_NAMES, numbers stay as they are.
ANSWER_WORDS = {
    "en": {"yes": "yes", "no": "no", "rural": "rural", "urban": "urban"},
    "zh": {"yes": "是", "no": "否", "rural": "农村", "urban": "城市"},
}
for _name, _words in LAND_CLASS_NAMES.items():
    for _lang in LANGUAGES:
        ANSWER_WORDS[_lang][_name] = _words[_lang]

TEMPLATES: dict[str, dict[str, tuple[str, ...]]] = {
    "presence": {
        "en": (
            "Is there any {a} in {img}?",
            "Is {a} present in {img}?",
            "Does {img} show any {a}?",
            "Can {a} be seen in {img}?",
        ),
        "zh": ("{img}中有{a}吗？", "{img}中是否存在{a}？", "{img}里有没有{a}？", "能否在{img}中看到{a}？"),
    },
    "count": {
        "en": (
            "How many separate patches of {a} are there in {img}?",
            "What is the number of {a} patches in {img}?",
            "What is the amount of {a} patches in {img}?",
            "How many patches of {a} does {img} show?",
        ),
        "zh": (
            "{img}中有几块{a}？",
            "{img}中{a}共有多少块？",
            "{img}中{a}图斑的数量是多少？",
            "{img}里能看到多少块{a}？",
        ),
    },
    "comp_more": {
        "en": (
            "Is there more {a} than {b} in {img}?",
            "Does {a} cover more of {img} than {b}?",
            "Is {a} more extensive than {b} in {img}?",
            "Does {img} contain more {a} than {b}?",
        ),
        "zh": (
            "{img}中{a}比{b}多吗？",
            "{img}中{a}的面积是否大于{b}？",
            "{img}中{a}是不是比{b}更多？",
            "与{b}相比，{img}中{a}是否更多？",
        ),
    },
    "comp_less": {
        "en": (
            "Is there less {a} than {b} in {img}?",
            "Does {a} cover less of {img} than {b}?",
            "Is {a} less extensive than {b} in {img}?",
            "Does {img} contain less {a} than {b}?",
        ),
        "zh": (
            "{img}中{a}比{b}少吗？",
            "{img}中{a}的面积是否小于{b}？",
            "{img}中{a}是不是比{b}更少？",
            "与{b}相比，{img}中{a}是否更少？",
        ),
    },
    "rural_urban": {
        "en": (
            "Is it a rural or an urban area in {img}?",
            "Does {img} show a rural or an urban area?",
            "Is the place in {img} rural or urban?",
            "Would you call the area in {img} rural or urban?",
        ),
        "zh": (
            "{img}中是农村还是城市？",
            "{img}显示的是农村还是城市？",
            "{img}所示区域是农村还是城市？",
            "{img}中的地方是农村还是城市？",
        ),
    },
    "dominant": {
        "en": (
            "What is the dominant land class in {img}?",
            "Which land class covers the largest part of {img}?",
            "What is the main land cover in {img}?",
            "Which land use type is the most common in {img}?",
        ),
        "zh": (
            "{img}中最主要的地类是什么？",
            "{img}中以哪种地类为主？",
            "{img}中哪种土地利用类型最多？",
            "{img}中分布最广的地类是什么？",
        ),
    },
    "share": {
        "en": (
            "What percentage of {img} is {a}?",
            "What is the percentage of {a} in {img}, to the nearest 10%?",
            "What proportion of {img} is covered by {a}, in percent?",
            "How much of {img} is {a}, to the nearest 10%?",
        ),
        "zh": (
            "{a}约占{img}的百分之几？",
            "{img}中{a}的占比是多少？",
            "{img}中{a}所占比例约为多少（取整到10%）？",
            "{a}在{img}中的面积占比是多少？",
        ),
    },
    "area": {
        "en": (
            "What is the area of {a} in {img}, in {unit}, if {img} covers {total} {unit} in all?",
            "How many {unit} of {a} are there in {img}, which covers {total} {unit} in all?",
            "What area does {a} cover in {img}, in {unit}, if {img} covers {total} {unit} in all?",
            "What is the area covered by {a} in {img}, in {unit}, if {img} covers {total} {unit} in all?",
        ),
        "zh": (
            "{img}总面积{total}{unit}，其中{a}的面积是多少{unit}？",
            "{img}总面积{total}{unit}，{a}有多少{unit}？",
            "{img}总面积{total}{unit}，{a}面积约为多少{unit}？",
            "{img}总面积{total}{unit}，{a}覆盖的面积是多少{unit}？",
        ),
    },
    "change_more": {
        "en": (
            "Did {a} increase from {img1} to {img2}?",
            "Has {a} expanded between {img1} and {img2}?",
            "Is there more {a} in {img2} than in {img1}?",
            "Did the extent of {a} grow between {img1} and {img2}?",
        ),
        "zh": (
            "从{img1}到{img2}，{a}是否增加？",
            "{img2}中的{a}比{img1}多吗？",
            "与{img1}相比，{img2}中{a}有没有增加？",
            "{img1}到{img2}期间，{a}是否扩大？",
        ),
    },
    "change_less": {
        "en": (
            "Did {a} decrease from {img1} to {img2}?",
            "Has {a} shrunk between {img1} and {img2}?",
            "Is there less {a} in {img2} than in {img1}?",
            "Did the extent of {a} shrink between {img1} and {img2}?",
        ),
        "zh": (
            "从{img1}到{img2}，{a}是否减少？",
            "{img2}中的{a}比{img1}少吗？",
            "与{img1}相比，{img2}中{a}有没有减少？",
            "{img1}到{img2}期间，{a}是否缩小？",
        ),
    },
    "change_loss": {
        "en": (
            "Which land class lost the most between {img1} and {img2}?",
            "Which land class shrank the most from {img1} to {img2}?",
            "What land class decreased most between {img1} and {img2}?",
            "Which land use type was lost the most from {img1} to {img2}?",
        ),
        "zh": (
            "从{img1}到{img2}，哪种地类减少最多？",
            "{img1}到{img2}期间减少最多的地类是什么？",
            "与{img1}相比，{img2}中哪种地类减少得最多？",
            "{img1}到{img2}期间，哪种土地利用类型损失最大？",
        ),
    },
    "change_gain": {
        "en": (
            "Which land class gained the most between {img1} and {img2}?",
            "Which land class grew the most from {img1} to {img2}?",
            "What land class increased most between {img1} and {img2}?",
            "Which land use type expanded the most from {img1} to {img2}?",
        ),
        "zh": (
            "从{img1}到{img2}，哪种地类增加最多？",
            "{img1}到{img2}期间增加最多的地类是什么？",
            "与{img1}相比，{img2}中哪种地类增加得最多？",
            "{img1}到{img2}期间，哪种土地利用类型扩张最大？",
        ),
    },
    "change_share": {
        "en": (
            "What percentage of the land changed class between {img1} and {img2}?",
            "What proportion of the land differs in class between {img1} and {img2}, in percent?",
            "How much of the land changed class from {img1} to {img2}, to the nearest 10%?",
            "What is the percentage of land that changed class between {img1} and {img2}?",
        ),
        "zh": (
            "{img1}与{img2}之间，地类发生变化的比例是多少？",
            "从{img1}到{img2}，百分之几的土地改变了地类？",
            "{img1}到{img2}期间，变化面积的占比是多少（取整到10%）？",
            "{img1}和{img2}相比，土地变化占比约为多少？",
        ),
    },
}
