""" "Cannot tell" is an answer: the reason in words, what was found, and what would help.

``REASONS`` and ``NEXT_STEPS`` are the keys that an evidence may use as
``reason`` (beside the codes of CAVEATS) and ``next_step``.
"""

import re
from datetime import date

from src.assistant.forms.base import breakdown, choice, ended, joined
from src.assistant.record import Evidence, SceneUse
from src.assistant.text import Say, Words, day, pick, place_name
from src.geo.caveats import CAVEATS

_LISTED = 6

REASONS: Words = {
    "no_scene": {"zh": "时段内没有影像", "en": "there is no image in the period"},
    "one_date": {"zh": "只有一期影像，无法比较变化", "en": "there is one date only, so no change can be told"},
    "few_dates": {"zh": "影像期数不足", "en": "there are too few dates"},
    "images_begin": {"zh": "所问时段开始时还没有影像", "en": "the period begins before the images do"},
    "no_samples": {"zh": "没有独立检验样本", "en": "there are no independent test samples"},
    "no_labels": {"zh": "没有可用的地类样本", "en": "there are no labels to tell the classes"},
    "outside": {"zh": "所问位置不在影像范围内", "en": "the place lies outside the images"},
    "no_patch": {"zh": "没有找到这个图斑", "en": "there is no such patch"},
    "no_change": {
        "zh": "与之前的同季影像相比，各期均未见变化",
        "en": "no date shows a change against the same season before",
    },
    "no_index": {"zh": "影像缺少计算该指数的波段", "en": "the images lack the bands of this index"},
    "not_in_legend": {"zh": "现有分类中没有这一地类", "en": "the legend has no such class"},
    "below_mmu": {
        "zh": "所问大小低于影像可识别的最小图斑",
        "en": "the size asked about is below what the images can show",
    },
}
NEXT_STEPS: Words = {
    "add_scene": {"zh": "请补充所问时段的清晰影像", "en": "Add a clear image of the period"},
    "wait_clear": {
        "zh": "请等待下一期清晰影像，或补充雷达、无人机等其他来源",
        "en": "Wait for the next clear image or add another source",
    },
    "add_dates": {"zh": "请补充更多日期的影像", "en": "Add images of more dates"},
    "same_season": {"zh": "请补充同一季节的影像后再比较", "en": "Add an image of the same season and compare again"},
    "same_sensor": {"zh": "请补充同一类卫星的影像后再比较", "en": "Add an image of the same kind of satellite"},
    "add_zone": {"zh": "请上传所需的边界图层", "en": "Add the boundary layer"},
    "add_samples": {
        "zh": "补充独立样本点后可给出置信区间",
        "en": "Independent sample points would give a confidence interval",
    },
    "add_labels": {"zh": "请补充本地地类样本", "en": "Add labels of the local classes"},
    "calibrate": {"zh": "请上传带定标信息的原始影像", "en": "Add the original images with their calibration"},
    "finer_images": {"zh": "请改用更高分辨率影像或实地查看", "en": "Use finer images or go and look"},
    "check_number": {"zh": "请核对图斑编号", "en": "Check the number of the patch"},
    "check_place": {"zh": "请核对位置或上传覆盖该处的影像", "en": "Check the place, or add images that cover it"},
    "field_check": {
        "zh": "现场核实用途，查农转用、设施农用地备案、临时用地手续，四向举证拍照",
        "en": "Check the use on site, look up the permits, take photographs in four directions",
    },
}
# What helps with a reason where the evidence names no step.
_USUAL_STEP = {
    "NO_CLEAR_IMG": "wait_clear",
    "LOW_COVERAGE": "wait_clear",
    "SEASON_MISMATCH": "same_season",
    "SENSOR_MIX": "same_sensor",
    "BELOW_MMU": "finer_images",
    "NO_ZONE_LAYER": "add_zone",
    "CLASS_NOT_SEPARABLE": "add_labels",
    "SINGLE_PAIR": "add_dates",
    "DN_ONLY": "calibrate",
    "BASELINE_UNKNOWN": "calibrate",
    "SPECTRAL_RULES": "add_labels",
    "COREG_GT_0_5PX": "add_scene",
    "no_scene": "add_scene",
    "images_begin": "add_scene",
    "one_date": "add_dates",
    "few_dates": "add_dates",
    "no_samples": "add_samples",
    "no_labels": "add_labels",
    "outside": "check_place",
    "no_patch": "check_number",
    "no_index": "add_scene",
    "no_change": "field_check",
    "not_in_legend": "add_labels",
    "below_mmu": "finer_images",
}
# Reasons that name a kind of zone.
_OF_ZONES = {"NO_ZONE_LAYER": "layer", "NOT_IN_TOWN": "none_in_town"}
_TEXT: Words = {
    "head": {"zh": "无法判断：{}", "en": "Cannot tell: {}"},
    "period": {"zh": "所问时段：{}至{}", "en": "Period asked about: {} to {}"},
    "day": {"zh": "所问日期：{}", "en": "Day asked about: {}"},
    "none_in_town": {"zh": "这个乡镇范围内没有{}", "en": "the town holds no ground of {}"},
    "layer": {"zh": "缺少{}图层，无法叠加", "en": "the layer of {} is missing, so nothing can be overlaid"},
    "looked": {"zh": "查看过的影像", "en": "Images looked at"},
    "scene": {"zh": "{day}（清晰{clear}）", "en": "{day} ({clear} clear)"},
    "not_known": {"zh": "现有数据不足以回答", "en": "the data at hand do not answer this"},
    "have": {"zh": "现有", "en": "There are"},
    "begin": {"zh": "现有影像自{}开始", "en": "The images begin on {}"},
    "instead": {"zh": "可以改问", "en": "You can ask about"},
    "detail": {"zh": "详情：{}", "en": "Details: {}"},
    "next": {"zh": "下一步：{}", "en": "Next: {}"},
}


def cannot_tell(evidence: Evidence) -> list[str]:
    """The lines of an answer that cannot be given.

    Looks for: ``reason``, ``detail``, the asked period, scenes that were looked at, ``choices``, ``next_step``.
    """
    say = Say(evidence)
    reason = evidence.reason or ""
    lines = [ended(say, _TEXT["head"][say.lang].format(_why(say, reason)))]
    begins = reason == "images_begin"
    if begins and evidence.detail:
        lines.append(ended(say, _TEXT["begin"][say.lang].format(day(evidence.detail[0], say.lang))))
    elif evidence.detail and reason not in _OF_ZONES:
        lines.append(ended(say, _TEXT["detail"][say.lang].format(joined(say, evidence.detail))))
    if evidence.t2:
        days = [day(one, say.lang) for one in (evidence.t1, evidence.t2) if one]
        lines.append(ended(say, _TEXT["period" if len(days) == 2 else "day"][say.lang].format(*days)))
    looked_at = sorted(evidence.scenes, key=lambda one: _distance(one.date, evidence.t2))
    lines += breakdown(say, _TEXT["looked"][say.lang], [_looked_at(say, one) for one in looked_at], _LISTED)
    label = _TEXT["instead" if begins else "have"][say.lang]
    lines += breakdown(say, label, [choice(one, say.lang) for one in _ordered(evidence)], _LISTED)
    step = evidence.next_step or _USUAL_STEP.get(reason, "")
    if step:
        lines.append(ended(say, _TEXT["next"][say.lang].format(pick(NEXT_STEPS, step, say.lang))))
    return lines


def _ordered(evidence: Evidence) -> list[str]:
    """The choices; dates nearest to the day asked about first, else the latest first."""
    if not all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", one) for one in evidence.choices):
        return list(evidence.choices)
    return sorted(evidence.choices, key=lambda one: _distance(one, evidence.t2))


def _distance(one: str, wanted: str | None) -> int:
    return abs((date.fromisoformat(one) - date.fromisoformat(wanted or "9999-12-31")).days)


def _why(say: Say, reason: str) -> str:
    if reason in _OF_ZONES and say.evidence.detail:
        return _TEXT[_OF_ZONES[reason]][say.lang].format(place_name(say.evidence.detail[0], say.lang))
    for table in (CAVEATS, REASONS):
        if reason in table:
            # The head of the line says already that it cannot be told.
            return table[reason][say.lang].removesuffix("，无法判断").removesuffix(", so this cannot be told")
    return _TEXT["not_known"][say.lang]


def _looked_at(say: Say, scene: SceneUse) -> str:
    return say.text(_TEXT, "scene", day=day(scene.date, say.lang), clear=f"{100 * scene.clear_share:.3g}%")
