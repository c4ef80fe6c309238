"""Words of land offices and their everyday forms: land classes, zones, units, formats, states, groups.

Every table is a list of regular expressions over ``numerals.plain`` text; of
words that overlap, the longest at the leftmost place counts. Zones are read
before classes (基本农田 is a zone, 农田 a class).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from src.assistant.query import Unit
from src.geo.patches.fields import CHECK_STATES

# Characters that pinyin input confuses, only in words where nothing else is meant.
_TYPOS_ZH = {
    "耕低": "耕地",
    "更地": "耕地",
    "耕弟": "耕地",
    "跟地": "耕地",
    "庚地": "耕地",
    "林弟": "林地",
    "草弟": "草地",
    "园弟": "园地",
    "圆地": "园地",
    "建设用底": "建设用地",
    "建设用弟": "建设用地",
    "建社用地": "建设用地",
    "新曾": "新增",
    "新赠": "新增",
    "增家": "增加",
    "减小了": "减少了",
    "检少": "减少",
    "图班": "图斑",
    "图版": "图斑",
    "途斑": "图斑",
    "面机": "面积",
    "面级": "面积",
    "宝护区": "保护区",
    "保户区": "保护区",
    "基本农天": "基本农田",
    "基本农甜": "基本农田",
    "红现": "红线",
    "违归": "违规",
    "围规": "违规",
    "疑是": "疑似",
    "趋式": "趋势",
    "区势": "趋势",
    "变画": "变化",
    "侵战": "侵占",
    "占地平衡": "占补平衡",
    "季渡": "季度",
    "公倾": "公顷",
    "公傾": "公顷",
    "撂慌": "撂荒",
    "傥": "倘",
}
_TYPO = re.compile("|".join(map(re.escape, _TYPOS_ZH)))
# English words worth mending when one letter is wrong, missing, doubled or swapped.
_ENGLISH_WORDS = (
    "cropland farmland forest grassland orchard garden reservoir wetland built construction urban building converted "
    "conversion reserve encroached encroachment boundary structure transition matrix accuracy suspect"
    "ed illegal hectares "
    "township quarter increase increased decrease decreased shapefile patches between compare largest"
    " biggest abandoned "
    "vegetation greenhouse ecological protected proportion percentage"
).split()
_SHORTEST_MENDED = 6

_CROPLAND = (
    r"耕地|农田|田地|水田|旱[地田]|水浇地|稻田|麦田|粮田|良田|菜地|庄稼地|农用?地(?!图)|种植地|田块"
    r"|(?<=[占毁吃])田|种?庄稼|种粮食?(?!面积)|种地|口粮田|农民的地",
    r"crop\s?lands?|farm\s?lands?|arable(?:\s+lands?)?|agricultural\s+lands?|cultivated\s+lands?"
    r"|padd(?:y|ies)(?:\s+fields?)?"
    r"|farm\s+fields?|crop\s+fields?|(?:rice|wheat)\s+fields?|fields?(?=\s+(?:was|were|lost|turned"
    r"|converted|became|to))|(?<=for )fields|crops(?=\s)",
    r"耕(?=[转变改/、→])|(?<=[转变还改→])耕(?!种|作|层)",
)
_GARDEN = (
    r"园地|果园|茶园|桑园|橡胶园|种植园|果林|园(?=[转变改/、→])|(?<=[→/、])园|(?<=[耕林草][转变改])园",
    r"garden(?:s|\s+lands?)?|orchards?|(?:tea|fruit|rubber)\s+(?:plantation|garden|farm)s?|plantations?|vineyards?",
)
_FOREST = (
    r"林地|森林|树林|灌丛|灌木林?地?|乔木林?|竹林|山林|林子|林木|树木?(?!立|状)|有林地|造林|植树"
    r"|林(?=[转变改/、→])|(?<=[转还→/])林(?![业场区])",
    r"(?:forest|wood)(?:s|ed)?(?:\s*lands?|\s+areas?|\s+cover)?|woodlands?|trees?(?:\s+cover)?"
    r"|shrubs?(?:lands?)?|timber(?:land)?|(?:de|re|af)forest\w*",
)
_GRASS = (
    r"草地|草原|牧草地|草场|牧场|草甸|草坡|草(?=[转变改/、→])|(?<=[转还→/])草",
    r"grass(?:\s?lands?|es)?|pastures?|meadows?|rangelands?|steppe",
)
_WATER = (
    r"水域|水体|水面|水库|河流|江河|湖泊|湖面|湖|坑塘|池塘|鱼塘|水塘|塘(?!坝)|沟渠|湿地|滩涂|沼泽|冰川|冰雪|积雪",
    r"(?:open\s+|surface\s+)?water(?:\s*bod(?:y|ies)|\s+surfaces?|\s+areas?|s)?|lakes?"
    r"|(?:fish\s*)?ponds?|reservoirs?|rivers?"
    r"|streams?|wetlands?|marsh(?:es)?|swamps?|glaciers?|snow|ice(?!\s+cream)",
)
_BUILT = (
    r"建设用地|建筑用地|建筑物?|构筑物|不透水面|城镇用地|工业用地|商业用地|开发用地|城镇|城区|城市"
    r"|房屋|房子|房|楼房?|住宅|宅基地|"
    r"硬化(?:地面?)?|厂房|工厂|工地|厂|道路|公路|(?<![一思线套出门])路(?![径线边上])|居民点|村庄"
    r"|建成区|建设(?![性厅局兵者])|建(?=[、/占→])|(?<=[转占→])建(?!议)"
    r"|乱盖|乱建|私建|偷建|违建|违章|私搭|乱搭|搭建|盖(?=了|起|的|过)|修建|水泥地|建起来",
    r"built(?:[\s-]?up)?(?:\s+(?:lands?|areas?))?|construction(?:\s+(?:lands?|sites?|areas?))?"
    r"|urban(?:\s+(?:lands?|areas?|use))?"
    r"|urbani[sz]ation|buildings?|impervious(?:\s+surfaces?)?|houses?|housing|roads?|settlements?"
    r"|develop(?:ment|ed)(?:\s+lands?)?"
    r"|factor(?:y|ies)|concrete|built|build(?:ing)?|construct(?:ing|ed)|erect(?:ed|ing)|cit(?:y"
    r"|ies)(?!\s+limits)|structures(?=\s)|towns(?=\s+(?:grew|expand))",
)
_UNUSED = (
    r"未利用地|未利用土地|裸地|裸土地?|裸露地?|荒地|荒山|荒漠|沙地|沙漠|盐碱地|戈壁|裸岩|空地|动土"
    r"|推土|推填土|堆土|堆料|采[砂沙石]|"
    r"挖[砂沙土山]|取土|开挖|弃[土渣]|渣土|未利用|荒(?=[转变改/、→])",
    r"unused(?:\s+lands?)?|bare(?:\s+(?:lands?|soils?|grounds?|earth))?|barren(?:\s+lands?)?|deserts?|wastelands?|"
    r"sand(?:y\s+lands?|\s+(?:mining|dredging|extraction|digging))|earthworks?|excavat(?:ions?|ed"
    r"|ing)|digging|dug(?:\s+up)?|spoil\s+heaps?"
    r"|soil\s+(?:heaps?|dump(?:s|ing)?)|piles?\s+of\s+(?:soil|earth|sand)|dumping",
)
CLASS_WORDS: Mapping[str, Sequence[str]] = {
    "cropland": _CROPLAND,
    "garden": _GARDEN,
    "forest": _FOREST,
    "grassland": _GRASS,
    "water": _WATER,
    "built": _BUILT,
    "unused": _UNUSED,
}
# Words for a part of a class that images cannot tell from the rest of it.
SUBTYPES: Mapping[str, re.Pattern[str]] = {
    # Paddy and dry land together are all of it.
    "cropland": re.compile(
        r"水田(?![、和及与]?旱[地田])|(?<!水田)(?<!水田[、和及与])旱[地田]|水浇地|[稻麦]田|菜地|农用地"
        r"|padd(?:y|ies)|(?:rice|wheat)\s+fields?"
    ),
    "garden": re.compile(r"[果茶桑]园|橡胶园|orchards?|vineyards?"),
    "water": re.compile(r"湿地|滩涂|沼泽|冰川|冰雪|积雪|wetlands?|marsh(?:es)?|swamps?|glaciers?|\bsnow\b|\bice\b"),
    "built": re.compile(r"宅基地|[工商]业用地|道路|公路|roads?"),
}
# Digging rather than cover: what it leaves is bare ground.
DIGGING = re.compile(
    r"动土|推[填]?土|堆[土料]|采[砂沙石]|挖[砂沙土山]|取土|开挖|弃[土渣]|渣土|earthwork|excavat"
    r"|digging|\bdug\b|sand\s+(?:mining|dredg|extract)"
    r"|spoil|soil\s+(?:heap|dump)|dumping|piles?\s+of"
)
_NEGATED = re.compile(
    r"(?:非|(?<!是)不是|不属于|除了?|除去|除开|扣除|不算|不含|不包括|排除|(?:\bnot|\bnon|\bother\s+than"
    r"|\bexcept(?:\s+for)?|\bexcluding|"
    r"\bbesides|\bapart\s+from|\bwithout|\baside\s+from)[\s-]*(?:the\s+)?(?:being\s+)?)$"
)
_NEGATED_AFTER = re.compile(r"\s*(?:以外|之外|除外)")

_RESERVE_EN = (
    r"(?:nature\s+|natural\s+)?reserves?(?:'s)?|protected\s+(?:natural\s+)?areas?|national\s+parks?"
    r"|(?:wildlife\s+)?sanctuar(?:y|ies)|conservation\s+areas?"
)
ZONE_WORDS: Mapping[str, str] = {
    "basic_farmland": r"(?:永久)?基本农田(?:保护区|范围|(?:保护)?红线)?|永农(?:红线)?|永久农田|耕地(?:保护)?红线"
    r"|(?:permanent\s+)?(?:basic|prime|permanent|protected)\s+(?:crop|farm)\s?land",
    "red_line": r"生态(?:保护)?红线|保护红线|(?<!耕地)红线(?:范围|区)?|(?:ecological\s+)?(?:conservation\s+"
    r"|protection\s+)?red[\s-]*lines?",
    "reserve": rf"(?:国家级|省级|县级)?(?:自然|生态)?保护[区地](?:边界|范围)?|国家公园|自然公园|风景名胜区"
    rf"|森林公园|湿地公园"
    rf"|核心保护区|核心区|缓冲区|实验区|{_RESERVE_EN}"
    r"|(?:core|buffer|experimental)\s+(?:zones?|areas?|parts?)",
    "river": r"河道(?:管理)?(?:范围|边界)?|河湖(?:管理范围|岸线)?|岸线|河岸|河[边滩里上床堤]|江边|堤防|行洪区"
    r"|river\s*(?:management\s+)?(?:scope|channels?|corridors?|banks?|beds?|zones?|areas?"
    r"|reach(?:es)?)|riversides?|floodplains?|waterways?"
    r"|(?<=in the )river(?!\s*water)|(?<=along the )river|(?<=inside the )river",
    "urban_boundary": r"(?:城镇|城市)?(?:开发|增长)边界|城镇边界|城区边界|城[区镇](?=以外|之外|外)|(?:urban|city"
    r"|town)?\s*(?:growth"
    r"|development)\s+boundar(?:y|ies)"
    r"|urban\s+boundar(?:y|ies)|\bugb\b|(?:city|urban|town)\s+limits?",
    "mining": r"矿区(?:范围|边界)?|采矿[权区](?:范围)?|采矿许可|矿[权山界场]|采石场|mining\s+(?:areas?|rights?"
    r"|licen[cs]es?|zones?|concessions?|leases?)"
    r"(?:\s+areas?)?|(?<!land)\bmines?\b|licen[cs]ed\s+(?:mining\s+)?areas?|quarr(?:y|ies)",
    "aoi": r"(?:我画的?|框选的?|圈定?的?|选中的?|上传的?)(?:范围|区域|地方|边界)|关注区域?|(?:饮用)?水源(?:地)?保护区"
    r"|(?:selected|drawn|uploaded|my)\s+(?:area|polygon|outline|boundary)|\baoi\b"
    r"|area\s+(?:that\s+)?i\s+(?:drew|selected)|area\s+of\s+interest",
    "county": r"全[县域市区]|[咱我]们?县|[咱我]们?这(?:里|儿|边)?|本县|县[里域内](?!城)|整个县|全县域"
    r"|(?:the\s+)?(?:whole|entire)\s+county|county[\s-]?wide"
    r"|(?:our|this|the)\s+county",
}
PARTS = (("core", r"核心|\bcore\b"), ("buffer", r"缓冲|\bbuffer\b"), ("experimental", r"实验区|\bexperimental\b"))
OUTSIDE_AFTER = re.compile(
    r"\s*(?:的|范围|边界|线)?\s*(?:以外|之外|外面|外侧|旁边|周边|周围|附近|外围|外部|外(?![来地围])|除外)"
)
OUTSIDE_BEFORE = re.compile(
    r"(?:\boutside(?:\s+of)?|\bbeyond|\bnot\s+(?:in|inside|within)|\bexcept\s+in|\bexcluding"
    r"|\bnear|\baround|\bnext\s+to|\boff)\s+(?:the\s+|any\s+|our\s+)?"
    r"(?:\w+\s+)?$|(?:除了?|除[去开]|不在|不含|不包[括含]|不算|不计|扣除|扣掉|排除|剔除)$"
)
# Before the name of a town that runs on from other words; what stands before them is cut off.
_TOWN_STOP = re.compile(
    r"[的在和与跟比对请问帮我看查统计各每哪个有没这那该于从把给说是及或还去今明都些别几多少想知道按往"
    r"让被由就再也又,。?!;:、 "
    r"\"'()\[\]<>/\d\u25a1]|其中|之[前后内间]|以[前后内来]|目前|包括|关于|年[底末初]|全县|县[里内]|情况"
)
_TOWN = re.compile(
    r"([\u4e00-\u9fffa-z]{1,6}?)(乡|镇|街道办?事?处?|村|社区|苏木"
    r"|县)(?![域庄民镇乡里居房建级发振城内局政])"
)
_NO_TOWN = re.compile(
    r".*(?:乡|城|农|各|每|哪|该|本|全|所有|行政|自然|多少|几)|.*(?:贫困|农业|试点|周边|相邻|其他|其它"
    r"|兄弟|县)|[村下集市小老新整同故回家山乡个某大强邻外县咱]|.*们"
)
_TOWN_EN = re.compile(r"\b([a-z][a-z'-]+)\s+(town(?:ship)?|village)\b|\b(town(?:ship)?|village)\s+of\s+([a-z][a-z'-]+)")
_NO_TOWN_EN = frozenset(
    "the a each every per by which any what this that all our and in of new county small most per-tow"
    "n same other one".split()
)
GROUP_WORDS: Mapping[str, re.Pattern[str]] = {
    "town": re.compile(
        r"[各每分按逐\d\u25a1](?:个)?(?:乡镇?|镇|街道)|哪(?:个|些|几个)?(?:乡镇?|镇|街道)|乡镇(?:排名"
        r"|之间|间|分布|分别)|各地(?!类)|哪[里儿]|哪些地方|"
        r"什么地方|哪个地方|分布|所有乡镇|乡镇(?=.{0,8}(?:排|第))|\b(?:by|per|each|every|which|what"
        r"|across|among)\s+(?:the\s+)?(?:\w+\s+)?town(?:ship)?s?\b|"
        r"\btown(?:ship)?s\b|(?:^|\band\s|\bme\s|\bknow\s|\bsee\s|\bexactly\s|[,.?!;]\s?)where\b"
        r"|\bdistribution\b|\bin\s+which\s+places\b"
    ),
    "village": re.compile(
        r"[各每分按逐](?:个)?(?:行政)?村|哪(?:个|些|几个)村|\b(?:by|per|each|every|which)\s+villages?\b"
    ),
    "class": re.compile(
        r"[各每分按](?:个|种)?地类|地类(?=.{0,6}(?:各|分别))|[各每](?:种|类|个)?(?:土地|类)|哪些(?:地类"
        r"|类|土地|用地)|什么地类|哪种地|来源|去向|去哪|流向|构成|从哪|哪来|来自哪|"
        r"变成了?(?:什么|啥|哪)|变[成为]的?(?:什么|啥)|转成了?(?:什么|啥)|转(?:为|到)了?(?:什么|啥|哪)"
        r"|被什么|被啥|(?:让|被)谁|谁.{0,3}占|都干(?:什么|啥)|(?:原来?|以前|之前|原先"
        r"|先前)(?:都)?是(?:些)?(?:什么|啥|哪)|"
        r"\b(?:by|per|each|every|which|what|all)\s+(?:land\s+)?(?:class(?:es)?|types?|land\s+use|covers?"
        r"|categor(?:y|ies))\b|\bwhere\s+did\b|"
        r"\bwent\s+where\b|\bcome\s+from\b|\bcame\s+from\b|\bsources?\b|\bbecame\s+what\b|\b(?:turn"
        r"|change|convert)\w*\s+in?to\s+what\b|"
        r"\bwhat\s+did\b.{0,30}\b(?:become|turn)\b|\bwhat\s+(?:became|replaced|it\s+became)\b"
        r"|\bwhat\s+(?:was|were)\s+\w+\s+before\b|\bbroken\s+down\b|\bwhere\s+.{0,20}\bgo\b"
    ),
    "type": re.compile(r"[各按分](?:变化|图斑)?类型|\b(?:by|per|each)\s+(?:change\s+|patch\s+)?type\b"),
    "year": re.compile(
        r"逐年|每年|各年|分年度?|按年|年度对比|\b(?:by|per|each|every)\s+year\b|\byearly\b"
        r"|\bannual(?:ly)?\b|\byear\s+by\s+year\b"
    ),
    "part": re.compile(r"[各按分](?:个)?功能区|[各按](?:个)?分区|\b(?:by|per|each)\s+(?:part|functional\s+zone)\b"),
}
UNIT_WORDS: Mapping[Unit, str] = {
    "mu": r"亩|\bmu\b",
    "ha": r"公顷|\bha\b|\bhectares?\b|英亩|\bacres?\b",
    "km2": r"平方(?:公里|千米)|\bkm2\b|\bsq\.?\s?km\b|\bsquare\s+kilomet(?:er|re)s?\b|\bsquare\s+km\b",
    "m2": r"平方米|平米|\bm2\b|\bsq\.?\s?m\b|\bsquare\s+met(?:er|re)s?\b",
}
FORMAT_WORDS: Mapping[str, str] = {
    "docx": r"word|docx?\b|快报|报告|简报|[周月季年]报|文档|通报|\breport\b|\bbulletin\b",
    "xlsx": r"excel|xlsx?\b|表格|台账|清单|列表|电子表|名单|\bspreadsheets?\b|\blist\b|\btable\b|\bledger\b",
    "gpkg": r"gpkg|geopackage",
    "shp": r"shp(?![a-z])|shapefiles?|矢量",
    "geojson": r"geo\s?json",
    "csv": r"csv(?![a-z])",
    "pdf": r"pdf(?![a-z])",
    "kml": r"kml(?![a-z])|google\s+earth|奥维",
}
STATE_WORDS: tuple[tuple[str, str], ...] = (
    (CHECK_STATES[0], r"待核查|未核查|重新核查|to\s+be\s+checked|pending|unchecked"),
    (
        CHECK_STATES[1],
        r"伪变化|误报|虚警|假的|假变化|不是(?:真的?)?变化|false\s+(?:changes?|alarms?|positives?)"
        r"|not\s+a\s+(?:real\s+)?change",
    ),
    (CHECK_STATES[3], r"设施农用地|设施农业|agricultural\s+facilit(?:y|ies)|farm\s+facilit(?:y|ies)(?:\s+land)?"),
    (CHECK_STATES[4], r"疑似违法移交|移交|移送|hand(?:ed)?\s+(?:it\s+)?(?:on|over)|refer(?:red)?|suspected\s+unlawful"),
    (CHECK_STATES[2], r"(?<![违不])合法|(?<!un)\blawful|(?<!il)\blegal\b|approved"),
)
# Why a find is a false change: FALSE_CHANGE_CAUSES.
CAUSE_WORDS: tuple[tuple[str, str], ...] = (
    ("物候", r"物候|季节|收割|season|phenolog|harvest"),
    ("云影", r"云|阴影|cloud|shadow"),
    ("配准", r"配准|错位|偏移|registration|misalign|shift"),
    ("水位", r"水位|涨水|退水|water\s+level"),
    ("撂荒", r"撂荒|休耕|fallow|abandon"),
)


@dataclass(frozen=True)
class Mention:
    """A land class that a text names.

    Args:
        cls: name of the class.
        start: of its words.
        end: likewise.
        negated: "not", "other than".
    """

    cls: str
    start: int
    end: int
    negated: bool = False


_CLASSES = [
    (cls, re.compile("|".join(rf"\b(?:{words})\b" if re.search("[a-z]{3}", words) else words for words in tables)))
    for cls, tables in CLASS_WORDS.items()
]
ZONES = [(kind, re.compile("|".join(rf"(?:{words})" for words in [pattern]))) for kind, pattern in ZONE_WORDS.items()]


def mended(text: str) -> str:
    """Text with common typing errors put right, nothing else changed."""
    text = _TYPO.sub(lambda match: _TYPOS_ZH[match[0]], text)
    return re.sub(rf"(?<![\w-])[a-z]{{{_SHORTEST_MENDED - 1},}}(?![\w-])", lambda match: _mend(match[0]), text)


def leftmost_longest(patterns: Sequence[tuple[str, re.Pattern[str]]], text: str) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of every find that overlaps no earlier or longer one."""
    found = [(match.start(), -match.end(), name) for name, pattern in patterns for match in pattern.finditer(text)]
    reached = 0
    for start, end, name in sorted(found):
        if start >= reached and -end > start:
            reached = -end
            yield name, start, reached


def class_mentions(text: str) -> tuple[Mention, ...]:
    """All classes that a text names, in order."""
    return tuple(
        Mention(cls, start, end, bool(_NEGATED.search(text[:start]) or _NEGATED_AFTER.match(text, end)))
        for cls, start, end in leftmost_longest(_CLASSES, text)
    )


def town_mentions(text: str) -> Iterator[tuple[str, str, int, int]]:
    """(kind, name, start, end) of names that end like those of towns, villages and counties."""
    for match in _TOWN.finditer(text):
        stem = match[1]
        cut = max((stop.end() for stop in _TOWN_STOP.finditer(stem)), default=0)
        stem = stem[cut:]
        if stem and not _NO_TOWN.fullmatch(stem):
            kind = {"村": "village", "社区": "village", "县": "county"}.get(match[2], "town")
            yield kind, stem + match[2], match.start(1) + cut, match.end()
    for match in _TOWN_EN.finditer(text):
        name, word = (match[1], match[2]) if match[1] else (match[4], match[3])
        if name not in _NO_TOWN_EN:
            yield ("village" if word == "village" else "town"), name, match.start(), match.end()


def _mend(word: str) -> str:
    if word in _ENGLISH_WORDS:
        return word
    return next((good for good in _ENGLISH_WORDS if len(good) >= _SHORTEST_MENDED and _one_edit(word, good)), word)


def _one_edit(word: str, good: str) -> bool:
    """One letter wrong, missing, too many, or two neighbours swapped; an ending is no error."""
    endings = abs(len(word) - len(good)) == 1 and (word[:-1] == good or good[:-1] == word)
    if endings or abs(len(word) - len(good)) > 1 or word[0] != good[0]:
        return False
    same = next((i for i, (a, b) in enumerate(zip(word, good, strict=False)) if a != b), min(len(word), len(good)))
    rest, wanted = word[same:], good[same:]
    if len(word) == len(good):
        return rest[1:] == wanted[1:] or (rest[:2] == wanted[:2][::-1] and rest[2:] == wanted[2:])
    return rest[1:] == wanted if len(word) > len(good) else rest == wanted[1:]
