"""Answers that measure nothing: conversion, explanations, export, review, asking back, declining."""

from src.assistant.forms.base import Form, breakdown, choice, ended, joined, patch_words
from src.assistant.record import Evidence
from src.assistant.text import Say, Words, area, listed, pick
from src.geo.patches.fields import CHECK_STATE_NAMES

_LISTED_CHOICES = 8
_CONVERT_PLACES = {"m2": 2, "mu": 4, "ha": 4, "km2": 6}

_TEXT: Words = {
    "convert": {"zh": "{value}等于{result}。", "en": "{value} is {result}."},
    "convert_rule": {"zh": "换算关系：{}。", "en": "Conversion: {}."},
    "mu_ha": {"zh": "15亩为1公顷，1500亩为1平方公里", "en": "15 mu make 1 ha, 1500 mu make 1 km2"},
    "no_value": {
        "zh": "请给出要换算的数值和单位，例如“7.5亩是多少公顷”。",
        "en": 'Please give the number and its unit, such as "7.5 mu in hectares".',
    },
    "diff_head": {
        "zh": "遥感监测数与国土变更调查、统计数据口径不同，不宜直接相减。",
        "en": "Satellite figures and those of the survey or statistics are defined differently; do not subtract them.",
    },
    "diff_what": {
        "zh": "定义：这里量的是地表覆盖，调查认定的是土地用途；撂荒、休耕、果园、设施农用地最容易不一致。",
        "en": "Definition: this measures cover, a survey decides on use; fallow, orchards and farm facilities differ.",
    },
    "diff_when": {
        "zh": "时点：这里是影像获取日的状态，变更调查统一到年末时点，统计数据按报告期汇总。",
        "en": "Time: this is the state on the day of the image; surveys are fixed to the end of the year.",
    },
    "diff_scale": {
        "zh": "尺度：影像分辨率有限，小图斑、田坎、农村道路看不到；调查有最小上图面积和外业举证。",
        "en": "Scale: small plots, ridges and farm tracks cannot be seen; surveys have field evidence.",
    },
    "diff_error": {
        "zh": "误差：像元统计有系统偏差，有独立样本时才能校正并给出置信区间。",
        "en": "Error: pixel counts are biased; only independent samples correct them and give an interval.",
    },
    "diff_use": {
        "zh": "法定数据以自然资源主管部门公布的变更调查成果为准，本结果用于发现线索。",
        "en": "The official figures are those of the land survey; these results serve to find clues.",
    },
    "export": {
        "zh": "可导出疑似图斑{n}个，格式：{formats}。",
        "en": "{n} suspected patches can be exported, as {formats}.",
    },
    "export_plain": {
        "zh": "没有疑似图斑；可导出答案的文字和数据，格式：{formats}。",
        "en": "There are no suspected patches; the words and figures can be exported, as {formats}.",
    },
    "export_id": {"zh": "证据编号：{}。", "en": "Evidence: {}."},
    "export_files": {"zh": "文件：{}。", "en": "Files: {}."},
    "export_clue": {
        "zh": "导出的均为疑似线索，不能作为处罚依据，须实地核查。",
        "en": "All of it is suspected clues, no basis for a penalty; check on site.",
    },
    "reviewed": {
        "zh": "图斑{id}的核查状态已改为“{status}”，已记入核查日志。",
        "en": 'Patch {id} is now marked "{status}"; the review log has it.',
    },
    "review_row": {"zh": "该图斑：{}。", "en": "The patch: {}."},
    "review_human": {
        "zh": "核查状态由核查人填写，系统不作判定。",
        "en": "The state is what the reviewer entered; the system judges nothing.",
    },
    "describe": {
        "zh": "请上传影像并提问；对影像的描述是模型的印象，不是测量结果。",
        "en": "Please add an image and ask; what the model says of it is an impression, not a measurement.",
    },
    "choices": {"zh": "可选", "en": "You can choose"},
    "ask_like": {"zh": "可以这样问", "en": "You could ask"},
    "asked": {"zh": "所问：{}", "en": "Asked about: {}"},
    "nothing": {"zh": "这个问题暂时没有可用的答案。", "en": "There is no answer to this question at present."},
}

# Why a question is asked back, refused or not supported: what is said, and what comes next.
REASONS: Words = {
    "empty": {
        "zh": "请输入问题，例如“2024年新增耕地面积是多少？”。",
        "en": 'Please type a question, such as "How much new cropland in 2024?".',
    },
    "unknown": {
        "zh": "没有理解这个问题，请换一种说法。",
        "en": "This question was not understood; please say it in another way.",
    },
    "need_period": {
        "zh": "请说明时段：是哪一年，或从哪天到哪天？",
        "en": "Which period do you mean: which year, or from which day to which?",
    },
    "need_class": {"zh": "请说明地类：想了解哪一类土地？", "en": "Which kind of land do you mean?"},
    "need_t1": {
        "zh": "只有一期影像看不出变化，请补充另一日期的影像。",
        "en": "One image shows no change; please add an image of another date.",
    },
    "need_zone": {"zh": "请说明范围：哪个乡镇或哪个区域？", "en": "Which place do you mean?"},
    "need_patch": {"zh": "请说明是哪个图斑（图斑编号）。", "en": "Which patch do you mean? Please give its number."},
    "need_cause": {"zh": "请说明伪变化的原因。", "en": "What made it a false change? Please give the cause."},
    "need_status": {"zh": "请说明要改成哪种核查状态。", "en": "Which state should the patch get?"},
    "need_value": _TEXT["no_value"],
    "need_point": {"zh": "请给出经纬度。", "en": "Please give longitude and latitude."},
    "unknown_zone": {
        "zh": "没有找到这个地名对应的边界，请核对名称或上传边界图层。",
        "en": "No boundary of that name was found; check the name or add the layer.",
    },
    "which_zone": {
        "zh": "一次只能统计一个范围，请说明是其中哪一个。",
        "en": "Only one of these places can be measured at a time; which one do you mean?",
    },
    "one_at_a_time": {
        "zh": "这里问了不止一项，一次只能准确回答一项，请分开问。",
        "en": "This asks for more than one thing, and only one can be answered at a time; please ask one by one.",
    },
    "exclusion": {
        "zh": "不能按“除外、不含、没有变化”的条件统计，可以分别问总数和其中一项。",
        "en": "What is left out or unchanged cannot be measured like this; ask for the whole and for the part instead.",
    },
    "no_data": {
        "zh": "现有影像和图层中没有这项数据，无法回答。",
        "en": "Neither the images nor the layers hold such data, so this cannot be answered.",
    },
    "compare_what": {
        "zh": "这两项不能直接比较，请把要比较的两边说完整，例如“2023年和2024年新增建设用地哪个多？”。",
        "en": "These two cannot be set side by side as they are; please name both sides in full, "
        'such as "Was there more new built-up land in 2024 than in 2023?".',
    },
    "sum_what": {
        "zh": "请说明要加在一起的是什么：哪一类土地、哪个范围、哪段时间。",
        "en": "What shall be added up: which land, which place, which period?",
    },
    "which_part": {
        "zh": "请说明是从哪一类土地变成哪一类土地，例如“2024年有多少耕地变为建设用地？”。",
        "en": 'Please say which land became which, such as "How much cropland became built-up land in 2024?".',
    },
    "which_patches": {
        "zh": "这一项没有对应的图斑，请说明要看哪一类变化的图斑，例如“2024年新增建设用地的图斑有哪些？”。",
        "en": "That figure has no patches of its own; please say which change you mean, "
        'such as "Which patches became built-up land in 2024?".',
    },
    "nothing_yet": {
        "zh": "还没有可以导出的答案，请先提问，或说明要导出什么，例如“导出2024年新增建设用地图斑”。",
        "en": "There is no answer to export yet; ask a question first, or say what to export, "
        'such as "Export the new building sites of 2024".',
    },
    "future": {
        "zh": "所问时段还没有到来，没有影像可以测量。",
        "en": "That period has not come yet; there are no images to measure.",
    },
    "legal": {
        "zh": "是否违法、如何处罚不能由遥感判断，须由主管部门依法依规认定。",
        "en": "Whether something is unlawful, or its penalty, cannot be told from images; the authority decides.",
    },
    "off_topic": {
        "zh": "这个问题不在土地利用监测范围内，无法回答。",
        "en": "This question is not about land-use monitoring, so it cannot be answered here.",
    },
    "causal": {
        "zh": "两期影像只能说明地类之间怎样转换，不能证明变化的原因。",
        "en": "Images show what turned into what; they cannot prove the cause.",
    },
    "non_grain": {
        "zh": "“非粮化”要看种植作物，现有影像和图层中没有作物信息，无法判断。",
        "en": "This needs to know which crop is grown; neither the images nor the layers tell.",
    },
    "forecast": {
        "zh": "这里只测量已经发生的变化，不作预测。",
        "en": "Only what has happened is measured here; there is no forecast.",
    },
}
_NEXT: Words = {
    "legal": {
        "zh": "可以先查看疑似图斑清单，再核查农转用、设施农用地备案和临时用地手续。",
        "en": "You can look at the suspected patches first, then look up the permits for each.",
    },
    "causal": {
        "zh": "可以改问“耕地有多少转为建设用地”，再结合审批资料分析原因。",
        "en": 'You can ask "how much cropland became built-up land" and look for the cause in the records.',
    },
    "non_grain": {
        "zh": "请载入带种植属性的地类图斑或作物分布图层。",
        "en": "Please load a layer with crop attributes.",
    },
    "forecast": {"zh": "可以改问近几年的变化趋势。", "en": "You can ask for the trend of the past years."},
    "off_topic": {
        "zh": "可以问耕地、建设用地、疑似图斑、保护区占用等问题。",
        "en": "You can ask about cropland, built-up land, suspected patches or reserves.",
    },
    "need_t1": {
        "zh": "两期最好同一季节、同一类卫星。",
        "en": "The two are best of one season and one kind of satellite.",
    },
}


def convert(evidence: Evidence) -> list[str]:
    """A figure in another unit.

    Looks for: converted (area); the query's value and unit.
    """
    say, query = Say(evidence), evidence.query
    found = evidence.find(quantity="converted")
    if not found or query.value is None:
        return [_TEXT["no_value"][say.lang]]
    source, target = query.unit or "mu", query.to_unit
    units = [target] if target else [unit for unit in ("mu", "ha", "km2", "m2") if unit != source]
    value_m2 = found[0].value
    result = listed([area(value_m2, unit, say.lang, _CONVERT_PLACES[unit]) for unit in units], say.lang)
    value = area(value_m2, source, say.lang, _CONVERT_PLACES[source])
    return [say.text(_TEXT, "convert", value=value, result=result)]


def explain_diff(evidence: Evidence) -> list[str]:
    """Why figures differ from the land survey's or the statistics'; looks for nothing."""
    keys = ("diff_head", "diff_what", "diff_when", "diff_scale", "diff_error", "diff_use")
    return [_TEXT[key][evidence.query.lang] for key in keys]


def export(evidence: Evidence) -> list[str]:
    """What is exported, and how.

    Looks for: the rows; ``detail``: names of files that were written.
    """
    say = Say(evidence)
    formats = listed(list(evidence.query.formats) or ["docx", "xlsx", "gpkg", "shp", "geojson", "csv"], say.lang)
    key = "export" if evidence.patches else "export_plain"
    lines = [say.text(_TEXT, key, n=len(evidence.patches), formats=formats)]
    if evidence.detail:
        lines.append(_TEXT["export_files"][say.lang].format(listed(evidence.detail, say.lang)))
    return [*lines, _TEXT["export_clue"][say.lang]]


def review(evidence: Evidence) -> list[str]:
    """What was entered about a patch.

    Looks for: ``detail``: number and new state; the row.
    """
    say = Say(evidence)
    query = evidence.query
    patch_id, status = query.patch_id, query.status
    if not patch_id or not status:
        return reason_lines(evidence)
    shown = status if say.lang == "zh" else CHECK_STATE_NAMES.get(status, status)
    lines = [say.text(_TEXT, "reviewed", id=patch_id, status=shown)]
    lines += [_TEXT["review_row"][say.lang].format(patch_words(say, row)) for row in evidence.patches[:1]]
    return [*lines, _TEXT["review_human"][say.lang]]


def describe(evidence: Evidence) -> list[str]:
    """What to do to have an image described; looks for nothing."""
    return [_TEXT["describe"][evidence.query.lang]]


def reason_lines(evidence: Evidence) -> list[str]:
    """Why a question is asked back or declined, the details, the choices, what comes next.

    Looks for: ``reason`` (of the evidence, else of the query), ``detail``, ``choices``.
    """
    say = Say(evidence)
    reason = evidence.reason or evidence.query.reason or ""
    lines = [pick(REASONS, reason, say.lang) if reason in REASONS else _TEXT["nothing"][say.lang]]
    if evidence.detail:
        lines.append(ended(say, _TEXT["asked"][say.lang].format(joined(say, evidence.detail))))
    key = "ask_like" if reason in ("unknown", "empty") else "choices"
    shown = [choice(one, say.lang) for one in evidence.choices]
    if key == "ask_like":
        shown = [f"“{one}”" if say.lang == "zh" else f'"{one}"' for one in shown]
    lines += breakdown(say, _TEXT[key][say.lang], shown, _LISTED_CHOICES)
    return lines + ([_NEXT[reason][say.lang]] if reason in _NEXT else [])


FORMS: dict[str, Form] = {
    "convert": Form(
        {"zh": "单位换算", "en": "Unit conversion"},
        {"zh": ("3000亩等于多少公顷？",), "en": ("Put 3000 mu into hectares",)},
        convert,
    ),
    "explain_diff": Form(
        {"zh": "为何与其他数据不同", "en": "Why figures differ"},
        {
            "zh": ("怎么和变更调查的数对不上？",),
            "en": ("Why is this not what the land survey says?",),
        },
        explain_diff,
    ),
    "export": Form(
        {"zh": "导出", "en": "Export"},
        {"zh": ("把这些图斑导成Excel和矢量",), "en": ("Save these patches as Excel and a shapefile",)},
        export,
    ),
    "review": Form(
        {"zh": "核查标记", "en": "Review"},
        {"zh": ("第二个图斑是误报，标成伪变化",), "en": ("Mark the second patch as a false change",)},
        review,
    ),
    "describe": Form(
        {"zh": "描述影像", "en": "Describe an image"},
        {"zh": ("描述一下这张影像",), "en": ("Describe this image",)},
        describe,
    ),
    "clarify": Form({"zh": "追问", "en": "Asking back"}, {"zh": (), "en": ()}, reason_lines),
    "refuse": Form({"zh": "谢绝回答", "en": "Declined"}, {"zh": (), "en": ()}, reason_lines),
    "unsupported": Form({"zh": "暂不支持", "en": "Not supported"}, {"zh": (), "en": ()}, reason_lines),
}
