"""Fields, codes and wording of the record of a suspected change patch, in Chinese and English.

Names have at most 10 characters, as DBF files demand; they follow the tables
that land offices exchange where these have a field for the same thing. Nothing
here names a verdict: a patch is a clue that someone has to check.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One column of the patch table.

    Args:
        name: column name, at most 10 characters.
        zh: Chinese heading.
        en: English heading.
        kind: "text", "int" or "float".
        decimals: places that a float is rounded to.
    """

    name: str
    zh: str
    en: str
    kind: str = "text"
    decimals: int = 0


# Before-class areas by class id; 0 is ground whose class is not known.
COMPOSITION = {1: "GDMJ", 2: "YDMJ", 3: "LDMJ", 4: "CDMJ", 5: "SYMJ", 6: "JSMJ", 7: "WLMJ", 0: "WZMJ"}
_COMPOSITION_NAMES = {
    **{"GDMJ": ("耕地面积", "cropland"), "YDMJ": ("园地面积", "garden"), "LDMJ": ("林地面积", "forest")},
    **{"CDMJ": ("草地面积", "grassland"), "SYMJ": ("水域面积", "water"), "JSMJ": ("建设用地面积", "built-up")},
    **{"WLMJ": ("未利用地面积", "unused"), "WZMJ": ("地类未知面积", "unknown class")},
}

FIELDS: tuple[Field, ...] = (
    Field("TBBH", "图斑编号", "patch number"),
    Field("XZQDM", "行政区代码", "county code"),
    Field("XZQMC", "行政区名称", "county"),
    Field("XZMC", "乡镇名称", "town"),
    Field("JD", "经度", "longitude, degrees", "float", 6),
    Field("WD", "纬度", "latitude, degrees", "float", 6),
    Field("MJ_M2", "面积(平方米)", "area, m2", "float", 2),
    Field("MJ_MU", "面积(亩)", "area, mu", "float", 2),
    Field("MJ_HA", "面积(公顷)", "area, ha", "float", 4),
    Field("MJ_MIN", "面积下限(平方米)", "area less half a pixel, m2", "float", 2),
    Field("MJ_MAX", "面积上限(平方米)", "area plus half a pixel, m2", "float", 2),
    Field("XYS", "像元数", "pixels", "int"),
    Field("QSX", "前时相", "first date"),
    Field("HSX", "后时相", "second date"),
    Field("QYX", "前影像", "first scene"),
    Field("HYX", "后影像", "second scene"),
    Field("QDL", "前地类", "class before"),
    Field("QDLBM", "前地类编码(推测)", "class code before, guessed"),
    Field("HDL", "后地类", "class after"),
    Field("HDLBM", "后地类编码(推测)", "class code after, guessed"),
    Field("P1", "前地类概率", "probability before", "float", 3),
    Field("P2", "后地类概率", "probability after", "float", 3),
    Field("BHLX", "变化类型代码", "type code"),
    Field("BHLXMC", "变化类型", "type"),
    Field("BHQD", "变化强度", "change score", "float", 3),
    Field("GRADE", "置信等级", "grade"),
    Field("GRADE_N", "置信度", "confidence, 0 to 1", "float", 3),
    Field("YZQS", "后续印证期数", "later dates that confirm", "int"),
    Field("SFYN", "是否涉永农", "in basic farmland"),
    Field("ZYYN_M2", "占用永农面积(平方米)", "in basic farmland, m2", "float", 2),
    Field("ZYYN_PCT", "占用永农比例(%)", "in basic farmland, percent", "float", 2),
    Field("SFHX", "是否涉生态红线", "in red line"),
    Field("ZYHX_M2", "占用红线面积(平方米)", "in red line, m2", "float", 2),
    Field("SFBH", "是否涉自然保护地", "in reserve"),
    Field("ZRBHD", "自然保护地名称", "reserve"),
    Field("GNQ", "功能区", "part of the reserve"),
    Field("ZRBHD_M2", "涉保护地面积(平方米)", "in reserve, m2", "float", 2),
    Field("SFHD", "是否涉河道管理范围", "in river scope"),
    Field("HDGL", "河道名称", "river"),
    Field("HDGL_M2", "涉河道面积(平方米)", "in river scope, m2", "float", 2),
    *(Field(name, f"原{zh}", f"was {en}, m2", "float", 2) for name, (zh, en) in _COMPOSITION_NAMES.items()),
    Field("MMU_OK", "达最小制图单元", "reaches the minimum mapping unit"),
    Field("XC", "狭长(窄于2像元)", "narrower than 2 pixels"),
    Field("CLR_PCT", "周边清晰度(%)", "surroundings seen, percent", "float", 1),
    Field("REASON", "触发证据", "evidence (Chinese)"),
    Field("JCJY", "核查建议", "advice (Chinese)"),
    Field("REASON_EN", "触发证据(英文)", "evidence"),
    Field("JCJY_EN", "核查建议(英文)", "advice"),
    Field("HCZT", "核查状态", "status of the check"),
    Field("HCJG", "核查结果", "result of the check"),
    Field("HCR", "核查人", "checked by"),
    Field("HCRQ", "核查日期", "checked on"),
    Field("WBHYY", "伪变化原因", "cause of a false change"),
    Field("EVID", "证据编号", "evidence id"),
)

# For people to fill in: state of the check, and what made a false change.
# "疑似违法移交" hands a suspicion on to those who may judge it; what it says is decided by a person, never here.
CHECK_STATE_NAMES = {
    "待核查": "to be checked",
    "伪变化": "false change",
    "合法": "lawful",
    "设施农用地": "farm facility land",
    "疑似违法移交": "handed on as suspected unlawful",
}
CHECK_STATES = tuple(CHECK_STATE_NAMES)
FALSE_CHANGE_NAMES = {
    "物候": "season",
    "云影": "cloud shadow",
    "配准": "registration",
    "水位": "water level",
    "撂荒": "fallow",
}
FALSE_CHANGE_CAUSES = tuple(FALSE_CHANGE_NAMES)

CHANGE_TYPES: dict[str, dict[str, str]] = {
    "DT": {"zh": "动土/推填土", "en": "earthwork"},
    "20": {"zh": "建(构)筑物", "en": "building or structure"},
    "DL": {"zh": "道路", "en": "road"},
    "SM": {"zh": "水面增减", "en": "water surface"},
    "CK": {"zh": "采矿", "en": "mining"},
    "ZB": {"zh": "植被变化", "en": "vegetation"},
    "QT": {"zh": "类型未定", "en": "type not known"},
}
# First-level code of the third land survey that a cover class most likely has; built-up land has too many to guess.
CODE_GUESS = {0: "", 1: "01", 2: "02", 3: "03", 4: "04", 5: "11", 6: "", 7: "12"}

OVERLAP = {"none": "否", "hit": "是", "thin": "可能相交"}
UNKNOWN_CLASS = {"zh": "未知", "en": "unknown"}

REASON = {
    "zh": "{t1}至{t2}间{before}疑似变为{after}({type})，{mu:.2f}亩{overlaps}",
    "en": "between {t1} and {t2} suspected change from {before} to {after} ({type}), {mu:.2f} mu{overlaps}",
}
OVERLAP_WORDS = {
    "basic_farmland": {"zh": "永农", "en": "basic farmland"},
    "red_line": {"zh": "红线", "en": "red line"},
    "reserve": {"zh": "保护地", "en": "reserve"},
    "river": {"zh": "河道范围", "en": "river scope"},
}
OVERLAP_HIT = {"zh": "；涉{zone}{m2:.0f}平方米", "en": "; {m2:.0f} m2 in {zone}"}
OVERLAP_THIN = {"zh": "；可能与{zone}相交", "en": "; may touch {zone}"}
ADVICE = {
    "zh": "现场核实用途→查农转用/设施农用地备案/临时用地→举证拍照(4向)",
    "en": "check the use on site; look up conversion, facility or temporary-use papers; take photos in four directions",
}
