"""The words that the checker knows, Chinese and English: what each of them says about the number beside it.

``WORDS`` maps a written form to its (kind, value) pairs; the longest form wins. Kinds:

- "class": a land class; "zone": a kind of zone; "part": of a reserve; "county": the whole area.
- "qty": key of QUANTITY_WORDS, which quantities of figures the word fits and which direction it gives.
- "from", "to": the class that follows is the one before or after; "conv": the classes before and after the word are;
  "occupy": the class after it was before, and "passive" turns that around.
- "side": "before" or "after", one of the two dates; "type", "grade", "accuracy", "sector", "index", "measure": further
  distinctions, which are compared with ``Figure.kind``.
- "range", "ci": bounds follow; "low", "high": which of them.
- "respectively", "mainly", "total", "rest", "area", "outside", "first_side", "second_side".
- "not", "ignored": words that only look like one of these.
"""

import re

from src.constants import LAND_CLASS_NAMES
from src.geo.patches.fields import CHANGE_TYPES
from src.geo.zones import PARTS, ZONE_TYPES

_ANY_FLOW = frozenset({"gain", "transition", "patches", "patch", "overlap", "towns", "converted", "place"})
_CHANGES = frozenset("net difference slope rate patches patch overlap transition towns index place series".split())
_RISE, _FALL = _CHANGES | {"gain"}, _CHANGES | {"loss"}
_PATCHES = frozenset({"patch", "patches", "overlap", "place", "unit", "difference", "towns", "period"})
_STATES = frozenset({"state", "series", "zone", "converted", "index"})

# What a word says: quantities that it fits, and the direction that it gives (0: none).
QUANTITY_WORDS: dict[str, tuple[frozenset[str], int]] = {
    "inflow": (frozenset({"gain", "transition", "towns", "place"}), 1),
    "outflow": (frozenset({"loss", "transition", "towns", "place"}), -1),
    "rise": (_RISE, 1),
    "fall": (_FALL, -1),
    "net": (frozenset({"net", "towns", "rate", "slope", "difference", "place"}), 0),
    "net_rise": (frozenset({"net", "towns", "rate", "slope", "place"}), 1),
    "net_fall": (frozenset({"net", "towns", "rate", "slope", "place"}), -1),
    "new": (frozenset({"gain", "patches", "patch", "overlap", "transition", "towns", "place", "net"}), 1),
    "conv": (frozenset({"transition", "patch", "patches", "overlap", "gain", "loss", "place"}), 0),
    "taken": (frozenset({"overlap", "transition", "loss", "patch", "patches", "place"}), 0),
    "share": (
        frozenset(
            {"state", "transition", "gain", "loss", "net", "overlap", "patches", "patch", "place", "towns", "series"}
        ),
        0,
    ),
    "seen": (frozenset({"seen"}), 0),
    "cloud": (frozenset({"cloud"}), 0),
    "unit": (frozenset({"unit"}), 0),
    "accuracy": (frozenset({"accuracy"}), 0),
    "samples": (frozenset({"samples", "interval_samples"}), 0),
    "confidence": (frozenset({"confidence"}), 0),
    "base": (frozenset({"net", "gain", "loss"}), 0),
    "slope": (frozenset({"slope", "rate", "gain", "loss", "net", "difference"}), 0),
    "rate": (frozenset({"rate", "net"}), 0),
    "index": (frozenset({"index", "difference"}), 0),
    "fit": (frozenset({"index", "slope", "accuracy", "rate"}), 0),
    "difference": (frozenset({"difference"}), 0),
    "more": (frozenset({"difference", "net"}), 1),
    "less": (frozenset({"difference", "net"}), -1),
    "patch": (_PATCHES, 0),
    "overlap": (frozenset({"overlap", "patch", "patches"}), 0),
    "state": (_STATES, 0),
    "covers": (_STATES | {"patch", "patches", "overlap"}, 0),
    "radius": (frozenset({"radius"}), 0),
    "change": (
        frozenset(
            {
                "net",
                "transition",
                "patches",
                "patch",
                "gain",
                "loss",
                "overlap",
                "difference",
                "rate",
                "slope",
                "place",
                "towns",
            }
        ),
        0,
    ),
}
# Quantities that stand only where a word says what they are.
NEEDS_WORD = frozenset(
    {
        "interval_samples",
        "gain",
        "loss",
        "net",
        "transition",
        "seen",
        "cloud",
        "unit",
        "accuracy",
        "samples",
        "confidence",
        "slope",
        "rate",
        "difference",
        "radius",
    }
)

_CLASSES = {
    "cropland": "耕地|农田|田地|水田|旱地|水浇地|cropland|croplands|crop land|farmland|arable land|cultivated land",
    "garden": "园地|果园|茶园|garden land|gardens|orchard|orchards|orchard land|tea gardens",
    "forest": "林地|森林|树林|灌丛|灌木林|forest|forests|forest land|forested land|woodland|woodlands",
    "grassland": "草地|牧草地|草原|grassland|grasslands|pasture|meadow|meadows",
    "water": "水域|水体|水面|坑塘|水库|water|water bodies|water body|water area|water surface|open water",
    "built": "建设用地|建筑用地|建成区|不透水面|城镇用地|built-up land|built-up area|built-up|built up land|built up|"
    "construction land|developed land|urban land|built land",
    "unused": "未利用地|未利用土地|裸地|荒地|沙地|unused land|unused|bare land|barren land|barren|wasteland",
}
_ZONES = {
    "basic_farmland": "永久基本农田|基本农田|永农|basic farmland|permanent basic farmland|prime farmland",
    "red_line": "生态保护红线|生态红线|红线|ecological red line|red line|ecological redline|redline",
    "reserve": "自然保护区|自然保护地|保护区|保护地|nature reserve|nature reserves|reserve|reserves|protected area|"
    "protected areas",
    "river": "河道管理范围|河道范围|河道|river management scope|river scope|river corridor",
    "urban_boundary": "城镇开发边界|开发边界|urban growth boundary|urban development boundary|growth boundary",
    "mining": "矿区|采矿权|mining right|mining rights|mining area|mining licence",
}
_QTY = {
    "inflow": "流入|转入|inflow|gained|gain|gains",
    "outflow": "流出|转出|流失|损失|outflow|lost|loss|losses",
    "rise": "增加|增长|扩张|扩大|上升|增多|增至|提高|增|increase|increased|increases|increasing|growth|grew|rose|"
    "expanded|expansion|"
    "rise|a gain of|gain of|up by|higher|added|更高",
    "fall": "减少|下降|缩减|减小|降低|萎缩|减|decrease|decreased|decreases|decreasing|declined|decline|fell|shrank|"
    "reduction|"
    "dropped|"
    "drop|a loss of|loss of|down by|lower|reduced|shrunk",
    "new": "新增|新建|new|newly",
    "net": "净变化|净变动|净|net|net change|净变化量",
    "net_rise": "净增加|净增长|净增|净流入|净增量|net gain|net increase|net growth|net inflow|net rise|a net gain of",
    "net_fall": "净减少|净减|净流失|净损失|净流出|净下降|net loss|net decrease|net decline|net reduction|"
    "net outflow|net fall",
    "share": "占比|比例|比重|占|share|shares|proportion|percentage|accounts for|accounted for|account for|makes up|"
    "made up|"
    "相当于",
    "base": "相当于期初|期初面积|of the area at the start|of the initial area|initial area",
    "seen": "清晰|无云|清晰比例|清晰占比|清晰覆盖比例|clear share|share seen|clear|clearly|seen clearly|cloud-free|"
    "cloud free|晴空",
    "cloud": "云量|cloud|clouds|cloud cover|cloudiness",
    "unit": "最小制图单元|最小图斑|最小上图|最小变化|不小于|minimum mapping unit|mmu|smallest change|smallest patch|"
    "the smallest patch|"
    "smallest patch that can|the smallest patch that can|the smallest that can|or more|每个|单个|each of|最小可",
    "accuracy": "精度|准确率|正确率|accuracy|kappa|f1",
    "samples": "样本|样点|检验点|n=|n =|n为|samples|sample",
    "confidence": "置信度|confidence|confident",
    "slope": "斜率|年均|平均每年|每年|一年|slope|annual|annually|yearly|a year|per year|线性趋势|linear trend|逐年",
    "rate": "动态度|变化率|增长率|减少率|rate|dynamic degree",
    "difference": "相差|差值|差额|差距|difference|apart|多出|高出|少了|gap",
    "more": "更多|多|more than|more",
    "less": "更少|少|fewer than|less than|less|fewer",
    "patch": "图斑|斑块|线索|地块|patch|patches|clue|clues|site|sites|plots",
    "overlap": "重叠|相交|侵占|压占|涉及|区内|overlap|overlaps|overlapping|encroached|encroachment|encroach|inside it|"
    "inside the zone|reach into|reaches into",
    "taken": "占用|被占|occupied|taken",
    "state": "现有|存量|保有量|增加到|减少到|增加至|减少至|增至|减至|降至|升至|上升到|下降到|上升至|下降至|变为|变到|"
    "stood at|stands at|"
    "went from|rose to|fell to|grew to|dropped to|increased to|decreased to|shrank to|declined to|"
    "rose from|fell from|grew from|increased from|decreased from|declined from|dropped from|shrank from",
    "covers": "covers|covered|measures|covering",
    "radius": "半径|周边|radius|within",
    "change": "变化|变动|change|changed|changes",
}
_MARKS: dict[str, str] = {
    "from": "来自于|来自|来源于|源自|源于|原为|由|从|came from|come from|coming from|comes from|from|out of|"
    "was once|formerly",
    "to": "流向|去向|转向|流出至|变作|to|into|lost to",
    "conv": "转为|转变为|变为|变成|转化为|转成|改为|改成|转作|转换为|演变为|→|转|became|become|converted to|"
    "converted into|turned into|"
    "turned to|changed to|changed into|-to-|conversion to",
    "occupy": "占用",
    "passive": "被",
    "respectively": "分别|依次|respectively|in that order",
    "mainly": "主要|多为|mainly|mostly|chiefly|largely|predominantly",
    "total": "合计|总计|共计|一共|总共|共|together|in all|in total|altogether|total|加起来|之和",
    "rest": "其余|其他|另外|剩余|the other|the rest|remaining|others",
    "area": "面积|总面积|area|areas|total area",
    "range": "范围|区间|介于|range|ranges|ranging|between|bounds|interval",
    "ci": "置信区间|confidence interval|confidence intervals|95% interval",
    "low": "下限|下界|最低|lower bound|lower limit|lower end",
    "high": "上限|上界|最高|upper bound|upper limit|upper end",
    "outside": "以外|之外|外|outside|beyond",
    "inside": "以内|之内|范围内|内|inside|within",
    "top": "前|排名|排在|首位|最大的|面积最大|面积较大的|the largest|largest|biggest|列出|所列|listed|下列|top|"
    "the first|the smallest|"
    "smallest|the smallest suspected|最小的",
    "start": "以来|起|相比|比|较|与|自|since|compared with|compared to|than|as against|年底以来",
    "first_side": "前者|the former|the first",
    "second_side": "后者|the latter|the second",
    "county": "全县|全县范围|本县|全域|县域|全区域|整个县|county-wide|countywide|the whole county|whole county|"
    "the county|"
    "the entire county|"
    "in the county|county as a whole",
    "ignored": "comes to|came to|come to|adds up to|add up to|amounts to|amounted to|totals|非置信区间|不是置信区间|"
    "no confidence interval|no confidence intervals|not a confidence interval|not confidence intervals|"
    "非耕地|非林地|非园地|非草地|非建设用地|非农化|非粮化|耕地保护|林地保护|设施农用地|占补平衡|其他地类|未知地类|"
    "unknown class|other classes|"
    "水面增减|植被变化|facility farmland|land-use|land use|land cover|water level|水位|清晰影像|clear image|"
    "clear images|clear dates|"
    "下限约束|没有变化|变化检测|change detection|变化图斑|疑似变化|suspected change|small changes|smaller changes|"
    "更小的变化|用地类型|"
    "new clear|数据范围|管理范围内容|时间范围|多少|多期|多年|多数|多为|多个|许多|大多|较多|more detail|more details|"
    "no more|减去|减县|至少|最少|不少于|缺少|"
    "此外|公共|共同|由于|从而|从事|期内|发现|出现|表现|现场|转移矩阵|转移|未经样本校正|样本校正|"
    "not corrected by samples|自由|被动|"
    "增减|增减方向|多幅|多次|多源|基本|占地|the year to|according to|due to|up to date|next to|in order to|to be|"
    "needs to|used to|"
    "ought to|"
    "有多|孰多孰少|一年生|多云|一般|范围有重叠|ranges overlap|area of interest",
}
_FURTHER = {
    (
        "side",
        "before",
    ): "前时相|前期|期初|之前|此前|原先|起初|尚未见|前一期|first date|earlier date|before|initially|originally|"
    "at the start|not there yet",
    (
        "side",
        "after",
    ): "后时相|后期|期末|之后|如今|现在|目前|首次见到|首次见|后一期|later date|second date|after|now|currently|"
    "at present|"
    "first seen|at the end",
    ("accuracy", "user"): "用户精度|user's accuracy|user accuracy|users accuracy",
    ("accuracy", "producer"): "制图精度|生产者精度|producer's accuracy|producer accuracy",
    ("accuracy", "overall"): "总体精度|整体精度|overall accuracy",
    ("accuracy", "kappa"): "kappa|kappa系数|卡帕系数",
    ("accuracy", "f1"): "f1|f1值|f1分数",
    ("accuracy", "r2"): "r2|r²|决定系数",
    ("grade", "A"): "a级|a 级|grade a|级别a",
    ("grade", "B"): "b级|b 级|grade b|级别b",
    ("grade", "C"): "c级|c 级|grade c|级别c",
    ("measure", "pixel"): "像元统计值|像元计数值|pixel count of|pixel counts give|pixel count gives|pixel count value",
    (
        "measure",
        "interior",
    ): "离边界一个像元以上|一个像元以上|边界一像元以内|more than one pixel inside|one pixel inside",
    (
        "measure",
        "below",
    ): "小于最小制图单元|小于最小图斑|低于最小|below the minimum|smaller than the minimum|below the smallest patch|"
    "smaller than the smallest patch",
    ("index", "NDVI"): "ndvi|归一化植被指数|植被指数|vegetation index",
    ("sector", "NE"): "东北部|东北侧|东北方|东北|north-east|northeast|northeastern|north-eastern",
    ("sector", "NW"): "西北部|西北侧|西北方|西北|north-west|northwest|northwestern|north-western",
    ("sector", "SE"): "东南部|东南侧|东南方|东南|south-east|southeast|southeastern|south-eastern",
    ("sector", "SW"): "西南部|西南侧|西南方|西南|south-west|southwest|southwestern|south-western",
    ("sector", "N"): "北部|北侧|北方|the north|northern|north",
    ("sector", "S"): "南部|南侧|南方|the south|southern|south",
    ("sector", "E"): "东部|东侧|东方|the east|eastern|east",
    ("sector", "W"): "西部|西侧|西方|the west|western|west",
    ("sector", "C"): "中部|中心|中央|the centre|centre|the center|central",
    ("type", "DT"): "动土/推填土|动土|推填土|earthwork|earthworks",
    ("type", "20"): "建(构)筑物|建筑物|构筑物|building or structure|buildings|building",
    ("type", "DL"): "道路|road|roads",
    ("type", "SM"): "水面增减",
    ("type", "CK"): "采矿|mining",
    ("type", "ZB"): "植被变化|vegetation change",
    ("type", "QT"): "类型未定|type not known",
    ("part", "core"): "核心区|核心保护区|core zone|core area|core",
    ("part", "buffer"): "缓冲区|buffer zone|buffer area|buffer",
    ("part", "experimental"): "实验区|试验区|experimental zone|experimental area",
}
_SENSORS = {
    "landsat5": "landsat 5|landsat-5|landsat5|陆地卫星5号|陆地卫星五号",
    "landsat7": "landsat 7|landsat-7|landsat7|陆地卫星7号|陆地卫星七号",
    "landsat8": "landsat 8|landsat-8|landsat8|陆地卫星8号|陆地卫星八号",
    "landsat9": "landsat 9|landsat-9|landsat9|陆地卫星9号|陆地卫星九号",
    "landsat": "landsat|陆地卫星",
    "sentinel2": "sentinel-2|sentinel 2|sentinel2|sentinel-2a|sentinel-2b|sentinel-2c|s2a|s2b|哨兵二号|哨兵2号|"
    "哨兵-2|哨兵-2号|"
    "哨兵2|哨兵",
    "hls": "hls|hls landsat|hls sentinel-2|hls l30|hls s30",
    "generic": "其他传感器|other sensor",
    "other": "sentinel-1|sentinel-3|哨兵一号|哨兵1号|哨兵-1|高分一号|高分二号|高分六号|高分1号|高分2号|高分6号|gf-1|"
    "gf-2|gf-6|modis|planetscope|"
    "worldview|worldview-2|worldview-3|spot-6|spot-7|资源三号|环境一号|吉林一号|quickbird|ikonos|aster|viirs|goes|"
    "spot|无人机|drone|"
    "uav",
}
_LEVELS = {"l2a": "l2a|level-2a", "l1c": "l1c|level-1c", "l2sp": "l2sp", "l2sr": "l2sr", "l1tp": "l1tp"}


def _words() -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}

    def add(words: str, *pair: tuple[str, str]) -> None:
        for word in words.split("|"):
            found.setdefault(word, []).extend(one for one in pair if one not in found.get(word, []))

    for cls, words in _CLASSES.items():
        add("|".join((words, *(name.lower() for name in LAND_CLASS_NAMES[cls].values()))), ("class", cls))
    for zone, words in _ZONES.items():
        add("|".join((words, ZONE_TYPES[zone].zh, ZONE_TYPES[zone].en.lower())), ("zone", zone))
    for name, words in _QTY.items():
        add(words, ("qty", name))
    for kind, words in _MARKS.items():
        add(words, (kind, kind))
    for (kind, value), words in _FURTHER.items():
        add(words, (kind, value))
    for code, names in CHANGE_TYPES.items():
        add("|".join(name.lower() for name in names.values()), ("type", code))
    for part, names in PARTS.items():
        add("|".join(name.lower() for name in names.values()), ("part", part))
    for sensor, words in _SENSORS.items():
        add(words, ("sensor", sensor))
    for level, words in _LEVELS.items():
        add(words, ("level", level))
    add(
        "rose from|fell from|grew from|increased from|decreased from|declined from|dropped from|shrank from|went from",
        ("from", "from"),
    )
    add(
        "转为|转变为|变成|转化为|转成|改为|改成|转作|转换为|演变为|→|来自|来自于|来源于|源自|流向|去向|came from|"
        "converted to|turned into|became|"
        "conversion to|-to-|converted into",
        ("qty", "conv"),
    )
    add(
        "总体精度|用户精度|制图精度|overall accuracy|user's accuracy|producer's accuracy|kappa|kappa系数|f1|"
        "生产者精度|整体精度",
        ("qty", "accuracy"),
    )
    add("ndvi|植被指数|vegetation index", ("qty", "index"))
    add("r2|r²|决定系数", ("qty", "fit"))
    return {word: tuple(pairs) for word, pairs in found.items()}


WORDS = _words()


def _alternatives(words: list[str]) -> str:
    """All words as one pattern, grouped by first character so that the search stays fast; longest first."""
    by_first: dict[str, list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        by_first.setdefault(word[0], []).append(re.escape(word[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_first.items())


_LATIN = [word for word in WORDS if re.match("[a-z]", word)]
_OTHERS = [word for word in WORDS if not re.match("[a-z]", word)]
# An English word ends at the end of a word; a Chinese one may be followed by anything.
ASCII_WORD = rf"(?<![a-z])(?:{_alternatives(_LATIN)})(?![a-z])|{_alternatives(_OTHERS)}"
