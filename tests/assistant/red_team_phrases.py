"""Sentences in Chinese and English with slots for what a record holds, and sentences that no record supports."""

FLOW = {
    "zh": (
        "{d1}至{d2}，{place}{cls}{flow}{n}。",
        "从{d1}到{d2}，{place}{cls}{flow}约{n}。",
        "对比{d1}和{d2}两期影像，{place}{cls}{flow}{n}。",
        "{place}{cls}{flow}{n}，折合{n2}。",
        "{place}{cls}{flow}{n}（{n2}）。",
        "就{cls}而言，{place}{flow}{n}。",
        "{cls}{flow}面积为{n}（{place}，{d1}—{d2}）。",
        "据像元统计，{place}在{d1}到{d2}之间{flow}的{cls}有{n}。",
        "{n}：这是{place}{cls}在{d1}至{d2}{flow}的面积。",
        "{place}：{cls}{flow}{n}。",
        "关于{place}{cls}，{d1}以来（截至{d2}）{flow}{n}，约合{n2}。",
        "影像显示，{place}的{cls}{flow}了{n}。",
    ),
    "en": (
        "{place} {flow} {n} of {cls} between {d1} and {d2}.",
        "from {d1} to {d2}, {place} {flow} {n} of {cls}.",
        "over the period {d1} – {d2}, {place} {flow} about {n} ({n2}) of {cls}.",
        "{place} {flow} {n} of {cls}, that is {n2}.",
        "comparing the images of {d1} and {d2}, {place} {flow} roughly {n} of {cls}.",
        "as for {cls}, {place} {flow} {n}.",
        "according to the pixel count, {place} {flow} {n} of {cls} (not corrected by samples).",
    ),
}
SPAN = {
    "zh": (
        "{place}{cls}{flow}{n}，范围{lo}至{hi}，未经样本校正。",
        "{place}{cls}{flow}{n}，范围在{lo}到{hi}之间。",
        "{place}{cls}{flow}估计为{n}，最少{lo}、最多{hi}。",
        "{place}{cls}{flow}{n}，但未经样本校正，低可至{lo}，高可至{hi}。",
    ),
    "en": (
        "{place} {flow} {n} of {cls} (range {lo} to {hi}, not corrected by samples).",
        "{place} {flow} {n} of {cls}, with a range from {lo} to {hi}.",
        "{place} {flow} {n} of {cls}; the range runs between {lo} and {hi}.",
    ),
}
TRIPLE = {
    "zh": (
        "{place}{cls}流入{g}、流出{l}，相抵后{flow}{n}。",
        "一边是{cls}流入{g}，一边是流出{l}，{place}{cls}总体{flow}{n}。",
        "{place}{cls}有进有出：转入{g}，转出{l}，{flow}{n}。",
        "{place}流出{cls}{l}，扣除流入的{g}，{flow}{n}。",
        "| {place}{cls} | 面积 |\n|---|---|\n| 流入 | {g} |\n| 流出 | {l} |\n| {flow} | {n} |",
        "{place}{cls}变化如下：\n- 流入：{g}\n- 流出：{l}\n- {flow}：{n}",
        "{d1}至{d2}，{place}{cls}流出{l}，同期流入{g}，二者相抵{flow}{n}。",
    ),
    "en": (
        "{place} gained {g} and lost {l} of {cls}, so it {flow} {n}.",
        "{cls} in {place}: gain {g}, loss {l}; overall it {flow} {n}.",
        "while {g} of {cls} was gained in {place}, {l} was lost; it {flow} {n}.",
        "| {cls}, {place} | Area |\n|---|---|\n| Gain | {g} |\n| Loss | {l} |",
        "between {d1} and {d2} {place} lost {l} of {cls} and gained {g} of it.",
    ),
}
TRANSITION = {
    "zh": (
        "{d1}至{d2}，{place}由{from}变为{to}的面积为{n}。",
        "{place}{from}转为{to}{n}。",
        "有{n}{from}变成了{to}。",
        "{from}→{to}：{n}。",
        "{place}约{n}的{from}转成{to}（{n2}）。",
        "原为{from}、后来成为{to}的土地共{n}，即{n2}。",
    ),
    "en": (
        "{n} of {from} turned into {to}.",
        "between {d1} and {d2}, {n} of {from} became {to} in {place}.",
        "{from} → {to}: {n}.",
        "{n} ({n2}) changed from {from} to {to} in {place}.",
        "in {place}, {n} of land went from {from} to {to}.",
    ),
}
# A share of the inflow or outflow of one class: {s} with the other side.
SOURCE = {
    "zh": (
        "{to}的流入中，{s}来自{from}。",
        "新增{to}里{from}占{s}，为{n}。",
        "{from}贡献了{to}流入的{s}（{n}）。",
        "就来源看，{from}占{to}流入的{s}。",
    ),
    "en": (
        "{s} of the {to} gained came from {from}.",
        "{from} made up {s} of the new {to} ({n}).",
        "of all new {to}, {s} was {from} before.",
    ),
}
TARGET = {
    "zh": (
        "流出的{from}中，{s}变成了{to}。",
        "{from}流出去向里{to}占{s}，即{n}。",
        "{from}流出的{s}转为{to}（{n}）。",
        "从去向看，转为{to}的占{from}流出的{s}。",
    ),
    "en": (
        "{s} of the {from} lost went to {to}.",
        "{to} took {s} of the {from} that was lost ({n}).",
        "of the {from} lost, {s} became {to}.",
    ),
}
STATE = {
    "zh": (
        "{d}，{place}{cls}面积为{n}。",
        "截至{d}，{place}共有{cls}{n}，合{n2}。",
        "{place}{cls}面积{n}，占{place}的{s}。",
        "{cls}占{place}的{s}。",
        "按{d}影像，{cls}面积{n}（{s}）。",
        "{d}的影像上，{place}{cls}约{n}。",
        "{place}现有{cls}{n}，折{n2}（{d}影像）。",
    ),
    "en": (
        "on {d}, {place} had {n} of {cls}.",
        "{cls} covered {n} ({n2}) on {d}.",
        "{cls} makes up {s} of {place}.",
        "{place} has {n} of {cls}, which is {s} of it.",
        "the image of {d} shows {n} of {cls}.",
        "as of {d}, {cls} accounts for {s} of {place}.",
    ),
}
PATCH = {
    "zh": (
        "图斑{id}位于{town}，面积{n}，由{from}变为{to}，可信度{grade}级。",
        "{town}的图斑{id}（{n}）由{from}变成{to}。",
        "{id}：{town}，{n}，{from}→{to}，{grade}级。",
        "编号{id}的图斑面积约{n}，合{n2}，在{town}。",
        "{town}有一处疑似图斑{id}，原为{from}，现为{to}，面积{n}。",
    ),
    "en": (
        "patch {id} lies in {town}, covers {n} and changed from {from} to {to} (grade {grade}).",
        "{id} ({town}): {n}, {from} → {to}, grade {grade}.",
        "in {town}, patch {id} of {n} ({n2}) turned from {from} into {to}.",
        "patch {id} in {town} measures about {n}.",
    ),
}
PATCHES = {
    "zh": (
        "共发现疑似图斑{c}个，合计{n}。",
        "{d1}至{d2}共有{c}个疑似图斑，总面积{n}（{n2}）。",
        "疑似图斑总数为{c}个。",
        "合计{n}的疑似图斑共{c}处。",
    ),
    "en": (
        "{c} suspected patches were found, {n} in all.",
        "between {d1} and {d2} there were {c} suspected patches with a total of {n} ({n2}).",
        "in total {c} suspected patches were found.",
    ),
}
OVERLAP = {
    "zh": (
        "{zone}范围内疑似变化图斑的重叠面积为{n}，占该区域的{s}。",
        "疑似图斑压占{zone}{n}（{n2}）。",
        "{zone}内有{c}个疑似图斑，重叠{n}。",
    ),
    "en": (
        "suspected patches overlap {zone} by {n}, {s} of its area.",
        "{c} suspected patches reach into {zone}, with {n} ({n2}) inside.",
    ),
}
KIND = {
    "zh": ("{kind}图斑{c}个。", "其中{kind}{c}个。", "按类型看，{kind}有{c}处。"),
    "en": ("by kind, {kind}: {c}.", "{kind}: {c}."),
}
SMALL = {
    "zh": ("另有{c}处小于最小图斑的变化未列出。", "小于最小图斑的变化有{c}处，没有列入。"),
    "en": ("{c} smaller changes below the smallest patch are not listed.",),
}
INSIDE = {
    "zh": ("其中{part}内{n}。", "落在{part}的有{n}。"),
    "en": ("{n} of it lies in {part}.", "by part, {part}: {n}."),
}
TREND = {
    "zh": (
        "{cls}面积由{d1}的{a}变为{d2}的{b}。",
        "{d1}{cls}为{a}，到{d2}为{b}。",
        "{cls}：{d1}，{a}；{d2}，{b}。",
        "{cls}从{a}（{d1}）变到{b}（{d2}）。",
    ),
    "en": (
        "{cls} went from {a} on {d1} to {b} on {d2}.",
        "on {d1} there was {a} of {cls}, on {d2} {b}.",
        "{cls}: {a} ({d1}), {b} ({d2}).",
    ),
}
SLOPE = {
    "zh": ("{cls}年均增加{n}。", "平均每年增加{cls}{n}，R²为{r}。"),
    "en": ("{cls} grew by {n} a year on average.", "the linear trend of {cls} is {n} a year, R² {r}."),
}
SIDES = {
    "zh": (
        "{d1}至{d2}{cls}流入{a}，{d3}至{d4}流入{b}，前者比后者多{n}。",
        "{cls}流入：{d1}至{d2}为{a}，{d3}至{d4}为{b}，相差{n}。",
        "{cls}在{d3}至{d4}流入{b}，在{d1}至{d2}流入{a}。",
    ),
    "en": (
        "{a} of {cls} was gained from {d1} to {d2} and {b} from {d3} to {d4}, a difference of {n}.",
        "from {d3} to {d4} {b} of {cls} was gained, from {d1} to {d2} {a}.",
    ),
}
RANK = {
    "zh": (
        "{cls}{flow}最多的是{place}，为{a}，其次是{other}（{b}）。",
        "{place}{cls}{flow}{a}，排第一；{other}{b}。",
        "| 乡镇 | {cls}{flow} |\n|---|---|\n| {place} | {a} |\n| {other} | {b} |",
    ),
    "en": (
        "{place} comes first: it {flow} {a} of {cls}; {other} follows with {b}.",
        "{place} {flow} {a} of {cls}, {other} {b}.",
    ),
}
SCENES = {
    "zh": (
        "依据{d1}和{d2}的Sentinel-2影像，清晰覆盖{s}。",
        "采用的是Sentinel-2卫星{d1}、{d2}两期影像。",
        "可识别的最小图斑为{m}。",
    ),
    "en": (
        "this rests on Sentinel-2 images of {d1} and {d2}, {s} seen clearly.",
        "images used: {d1} and {d2} (Sentinel-2).",
        "the smallest patch that can be seen is {m}.",
    ),
}
VERDICTS = {
    "zh": (
        "以上图斑属于违法占地。",
        "可以认定为违法建设。",
        "应依法予以处罚。",
        "该图斑系违建，责令拆除。",
        "上述变化均已核实为非法占用耕地。",
        "不存在违法行为。",
        "以上用地手续合法。",
        "建议罚款五万元。",
    ),
    "en": (
        "This is illegal land use.",
        "These patches are confirmed as unlawful construction.",
        "The owner must be fined.",
        "The change violates the land law.",
        "No law was broken.",
        "All of this construction is legal.",
    ),
}
INVENTED = {
    "zh": (
        "涉及农户37户。",
        "另有湿地5.2公顷。",
        "预计明年还将减少312亩。",
        "总体精度为91.3%。",
        "置信度为97%。",
        "该结果的95%置信区间为12.7–88.1亩。",
        "比三调数据少1830亩。",
        "涉及投资约120万元。",
        "卫星分辨率为0.8米。",
        "比上年同期增长12.6%。",
        "其中违建17处。",
        "平均坡度为6.5度。",
    ),
    "en": (
        "About 37 households are affected.",
        "Another 5.2 ha is wetland.",
        "A further 312 mu will be lost next year.",
        "The overall accuracy is 91.3%.",
        "The confidence is 97%.",
        "The 95% confidence interval is 12.7 to 88.1 ha.",
        "This is 1,830 mu less than the survey says.",
        "The images have a resolution of 0.8 m.",
        "That is 12.6% more than a year before.",
        "The mean slope is 6.5 degrees.",
    ),
}
