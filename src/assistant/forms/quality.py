"""About the answer itself: how accurate, from which images."""

from src.assistant.forms.base import Form, breakdown, ended, headline, joined
from src.assistant.record import SCENE_REASONS, Evidence
from src.assistant.text import SENSOR_NAMES, Say, Words, class_name, day, pick

_LISTED_SCENES = 6

_TEXT: Words = {
    "overall": {"zh": "{place}地类判定总体精度{value}", "en": "Overall accuracy of the land cover in {place}: {value}"},
    "on": {"zh": "{day}总体精度{value}{spread}", "en": "{day}: overall accuracy {value}{spread}"},
    "kappa": {"zh": "kappa系数{}", "en": "kappa {}"},
    "samples": {"zh": "样本{}个", "en": "{} samples"},
    "user": {"zh": "用户精度", "en": "User's accuracy"},
    "producer": {"zh": "制图精度", "en": "Producer's accuracy"},
    "blocked": {
        "zh": "精度来自本地标注的空间分块交叉检验，不是独立抽样检验。",
        "en": "Accuracy is from spatially blocked cross-validation on local labels, not from an independent sample.",
    },
    "none": {
        "zh": "没有独立检验样本，精度无法给出；面积均为像元统计，所附范围不是置信区间",
        "en": "There are no independent test samples, so no accuracy can be given; areas are pixel counts and their "
        "ranges no confidence intervals",
    },
    "scenes": {"zh": "本次使用{n}期影像：{parts}", "en": "{n} images were used: {parts}"},
    "scene": {
        "zh": "{day} {sensor}（清晰{clear}{cloud}，{why}）",
        "en": "{day} {sensor} ({clear} clear{cloud}; {why})",
    },
    "cloud": {"zh": "，产品云量{}", "en": ", cloud by product {}"},
    "left": {"zh": "未采用", "en": "Left out"},
    "left_one": {"zh": "{day}（{why}）", "en": "{day} ({why})"},
}


def accuracy(evidence: Evidence) -> list[str]:
    """How far the land cover can be trusted.

    Looks for: accuracy (share) of kind "overall" with bounds, one a date; "kappa" (index); "user", "producer" and
    "f1" (share, cls); samples (count).
    """
    say = Say(evidence)
    overall = [one for one in evidence.find(quantity="accuracy", kind="overall", place=None)]
    if not overall:
        return [headline(say, _TEXT["none"][say.lang])]
    last = max(overall, key=lambda one: one.t2 or "")
    lines = [headline(say, say.text(_TEXT, "overall", place=say.place, value=say.short(last)), last)]
    facts = []
    kappas = [one for one in evidence.find(quantity="accuracy", kind="kappa", place=None) if one.t2 == last.t2]
    if kappas:
        facts.append(_TEXT["kappa"][say.lang].format(say.short(kappas[0])))
    samples = [one for one in evidence.find(quantity="samples", place=None) if one.t2 in (last.t2, None)]
    if samples:
        facts.append(_TEXT["samples"][say.lang].format(say.short(samples[0])))
    lines += [ended(say, joined(say, facts))] if facts else []
    gap = "" if say.lang == "zh" else " "
    for kind in ("user", "producer"):
        found = [
            one for one in evidence.find(quantity="accuracy", kind=kind, place=None) if one.cls and one.t2 == last.t2
        ]
        parts = [f"{class_name(one.cls or '', say.lang)}{gap}{say.short(one)}" for one in found]
        lines += breakdown(say, _TEXT[kind][say.lang], parts, len(parts))
    others = [
        say.text(_TEXT, "on", day=day(one.t2, say.lang), value=say.short(one), spread=say.bracketed(one))
        for one in overall
        if one is not last and one.t2
    ]
    lines += [ended(say, text) for text in others]
    return [*lines, *([_TEXT["blocked"][say.lang]] if "validation" in evidence.method else [])]


def provenance(evidence: Evidence) -> list[str]:
    """Which images were used, and which were left out and why.

    Looks for: the scenes.
    """
    say = Say(evidence)
    used = [scene for scene in evidence.scenes if scene.used]
    parts = []
    for scene in used[:_LISTED_SCENES]:
        cloud = "" if scene.cloud_percent is None else _TEXT["cloud"][say.lang].format(f"{scene.cloud_percent:.3g}%")
        parts.append(
            say.text(
                _TEXT,
                "scene",
                day=day(scene.date, say.lang),
                sensor=pick(SENSOR_NAMES, scene.sensor, say.lang),
                clear=f"{100 * scene.clear_share:.3g}%",
                cloud=cloud,
                why=pick(SCENE_REASONS, scene.why, say.lang),
            )
        )
    gap = "；" if say.lang == "zh" else "; "
    lines = [ended(say, say.text(_TEXT, "scenes", n=len(used), parts=gap.join(parts)))]
    left = [
        say.text(_TEXT, "left_one", day=day(scene.date, say.lang), why=pick(SCENE_REASONS, scene.why, say.lang))
        for scene in evidence.scenes
        if not scene.used
    ]
    return lines + breakdown(say, _TEXT["left"][say.lang], left, _LISTED_SCENES)


FORMS: dict[str, Form] = {
    "accuracy": Form(
        {"zh": "精度", "en": "Accuracy"},
        {"zh": ("这个结果靠得住吗，误差有多大？",), "en": ("How far can I trust this figure?",)},
        accuracy,
    ),
    "provenance": Form(
        {"zh": "所用影像", "en": "Images used"},
        {"zh": ("这是拿哪几天的卫星图算出来的？",), "en": ("Which satellite images is this based on?",)},
        provenance,
    ),
}
