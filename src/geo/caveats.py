"""What must be said beside a figure: caveat codes and their wording in Chinese and English."""

from src.errors import LandUseError

CAVEATS: dict[str, dict[str, str]] = {
    "NO_CLEAR_IMG": {
        "zh": "时段内没有清晰影像，无法判断",
        "en": "no clear image in the period, so this cannot be told",
    },
    "LOW_COVERAGE": {
        "zh": "清晰覆盖不足，未观测部分不作推断",
        "en": "much of the area was not seen clearly; nothing is inferred for the rest",
    },
    "SEASON_MISMATCH": {
        "zh": "两期影像季节不同，部分差异可能是物候变化",
        "en": "the two dates lie in different seasons; part of the difference may be phenology",
    },
    "SENSOR_MIX": {
        "zh": "两期影像来自不同传感器或处理级别",
        "en": "the two dates come from different sensors or processing levels",
    },
    "BELOW_MMU": {
        "zh": "小于最小制图单元的变化未列出，仅计数",
        "en": "changes below the minimum mapping unit are counted, not listed",
    },
    "UNCALIBRATED_AREA": {
        "zh": "像元统计，未经样本校正；所附为范围，非置信区间",
        "en": "pixel count, not corrected by samples; the bounds are no confidence interval",
    },
    "COREG_GT_0_5PX": {
        "zh": "两期影像配准偏差超过半个像元，已配准后比较",
        "en": "the two dates were more than half a pixel apart and were aligned first",
    },
    "NO_ZONE_LAYER": {
        "zh": "缺少边界图层，无法叠加",
        "en": "the boundary layer is missing, so nothing can be overlaid",
    },
    "NOT_IN_TOWN": {
        "zh": "这个乡镇范围内没有这类区域",
        "en": "the town holds no ground of such a zone",
    },
    "ZONE_EDGE_1PX": {
        "zh": "边界一个像元内的面积不确定",
        "en": "area within one pixel of the boundary is uncertain",
    },
    "CLASS_NOT_SEPARABLE": {
        "zh": "该地类无法用现有数据与其他地类区分",
        "en": "the available data cannot tell this class from others",
    },
    "IDLE_BY_GREENNESS": {
        "zh": "撂荒由各季绿度推断，休耕、轮作也会算入，长草的撂荒地会漏掉，须实地核查",
        "en": "idle land is inferred from the greenness of its seasons: fallow by rotation counts, overgrown land does "
        "not; check it in the field",
    },
    "SINGLE_PAIR": {
        "zh": "仅两期对比，无后续影像印证",
        "en": "two dates only; no later image confirms the change",
    },
    "LEGEND_MERGED": {
        "zh": "细分地类已归并为大类，影像不能再细分",
        "en": "finer classes are merged into the wider one; images cannot tell them apart",
    },
    "BASELINE_UNKNOWN": {
        "zh": "处理基线未知，反射率偏移按假定处理",
        "en": "the processing baseline is unknown; the reflectance offset is assumed",
    },
    "NEEDS_FIELD_CHECK": {
        "zh": "遥感线索，须实地核查",
        "en": "a remote-sensing clue; check it in the field",
    },
    "LEGAL_NOT_ASSESSED": {
        "zh": "不判断合法性，不能作为处罚依据",
        "en": "legality is not assessed; this is no basis for a penalty",
    },
    "DN_ONLY": {
        "zh": "影像为未定标灰度值，仅可用于光谱变化",
        "en": "the images hold uncalibrated numbers, good for spectral change only",
    },
    "CLOUD_SCREEN": {
        "zh": "影像没有质量波段，云由本系统粗略识别",
        "en": "the images have no quality band; clouds were screened roughly by this system",
    },
    "RARE_CLASS": {
        "zh": "该类占比很小，采用稀有类置信区间",
        "en": "the class is rare; the interval is one that stays valid for rare classes",
    },
    "SPECTRAL_RULES": {
        "zh": "无标注，地类由光谱规则判定，可信度最低",
        "en": "no labels; cover comes from spectral rules and is the least certain",
    },
}


class CannotTell(LandUseError):
    """The data cannot carry the question.

    Args:
        code: key of CAVEATS.
        detail: what was found, in figures, and what would help.
    """

    def __init__(self, code: str, detail: str) -> None:
        # Both go to the base, so that the error can come back from a worker process.
        super().__init__(code, detail)
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.code}: {CAVEATS[self.code]['en']}; {self.detail}"
