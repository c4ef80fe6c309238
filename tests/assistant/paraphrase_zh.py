"""Chinese clauses of the honest paraphrases: one true sentence for each kind of figure, in several wordings."""

from collections.abc import Callable

from src.assistant.record import Figure
from tests.assistant.paraphrase_words import Teller


def _zh_gain(t: Teller, f: Figure) -> str:
    if f.kind == "pixel":
        return ""
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    words = t.one(
        f"{place}新增{cls}{value}",
        f"{place}{cls}流入{value}",
        f"{place}有{value}土地新转为{cls}",
        f"{place}新增{cls}的面积是{value}",
        f"新增{cls}{value}（{place}）",
    )
    return t.pair(f) + words + t.bounds(f)


def _zh_loss(t: Teller, f: Figure) -> str:
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    words = t.one(
        f"{place}{cls}流出{value}",
        f"{place}{cls}流失{value}",
        f"{place}有{value}{cls}转作他用",
        f"{place}流出的{cls}为{value}",
    )
    return t.pair(f) + words + t.bounds(f)


def _zh_net(t: Teller, f: Figure) -> str:
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    way = t.one("净增加", "净增", "净增长") if f.value > 0 else t.one("净减少", "净减", "净流出")
    words = t.one(f"{place}{cls}{way}{value}", f"增减相抵，{place}{cls}{way}{value}", f"{place}{cls}{way}了{value}")
    return t.pair(f) + words + t.bounds(f)


def _zh_state(t: Teller, f: Figure) -> str:
    place, cls, value, when = t.place(f), t.cls(f.cls), t.area(f.value), t.day(f.t2 or "")
    return t.one(
        f"{when}{place}{cls}面积为{value}", f"截至{when}，{place}共有{cls}{value}", f"{place}{cls}面积{value}（{when}）"
    ) + t.bounds(f)


def _zh_state_share(t: Teller, f: Figure) -> str:
    cls, value, when = t.cls(f.cls), t.share(f.value), t.day(f.t2 or "")
    return t.one(f"{when}{cls}占{t.place(f)}的{value}", f"{when}，{cls}占比{value}") + t.bounds(f)


def _zh_transition(t: Teller, f: Figure) -> str:
    if not f.from_cls or not f.to_cls or f.from_cls == f.to_cls:
        return ""
    before, after, value = t.cls(f.from_cls), t.cls(f.to_cls), t.area(f.value)
    place = t.place(f) if t.has_towns or t.rng.random() < 0.5 else ""
    words = t.one(
        f"{place}由{before}转为{after}的有{value}",
        f"{place}{before}变为{after}的面积{value}",
        f"{place}有{value}{before}疑似变成{after}",
        f"{place}{before}→{after}：{value}",
    )
    return words + t.bounds(f)


def _zh_patches(t: Teller, f: Figure) -> str:
    if f.kind in ("A", "B", "C"):
        return (
            t.one(f"其中{f.kind}级{t.count(f.value)}", f"可信度为{f.kind}级的有{t.count(f.value)}") if f.value else ""
        )
    if f.kind:
        return ""
    n = t.count(f.value)
    return (
        t.one(f"{t.place(f)}共发现疑似图斑{n}", f"{t.place(f)}有{n}疑似图斑", f"疑似变化图斑一共{n}") if f.value else ""
    )


def _zh_patches_area(t: Teller, f: Figure) -> str:
    return t.one(f"疑似图斑合计{t.area(f.value)}", f"这些疑似图斑总面积{t.area(f.value)}") + t.bounds(f)


def _zh_overlap(t: Teller, f: Figure) -> str:
    part = {"core": "核心区", "buffer": "缓冲区", "experimental": "实验区"}.get(f.kind or "", "")
    value = t.area(f.value)
    if part:
        return t.one(f"落在{part}的有{value}", f"{part}内{value}")
    return t.one(f"疑似图斑与{t.place(f)}重叠{value}", f"{t.place(f)}内重叠面积{value}") + t.bounds(f)


def _zh_slope(t: Teller, f: Figure) -> str:
    way = t.one("增加", "增长") if f.value > 0 else "减少"
    return t.one(f"{t.cls(f.cls)}平均每年{way}{t.area(f.value)}", f"{t.cls(f.cls)}年均{way}{t.area(f.value)}")


def _zh_difference(t: Teller, f: Figure) -> str:
    first, second = t.sides
    return f"{first}比{second}{'多' if f.value > 0 else '少'}{t.area(f.value)}"


ZH: dict[tuple[str, str], Callable[[Teller, Figure], str]] = {
    ("gain", "area"): _zh_gain,
    ("loss", "area"): _zh_loss,
    ("net", "area"): _zh_net,
    ("state", "area"): _zh_state,
    ("series", "area"): _zh_state,
    ("state", "share"): _zh_state_share,
    ("transition", "area"): _zh_transition,
    ("patches", "count"): _zh_patches,
    ("patches", "area"): _zh_patches_area,
    ("overlap", "area"): _zh_overlap,
    ("slope", "area_per_year"): _zh_slope,
    ("difference", "area"): _zh_difference,
    ("seen", "share"): lambda t, f: t.one(f"清晰覆盖{t.share(f.value)}", f"清晰覆盖率为{t.share(f.value)}"),
    ("unit", "area"): lambda t, f: t.one(f"最小图斑{t.exact_mu(f.value)}", f"小于{t.exact_mu(f.value)}的变化看不到"),
    ("samples", "count"): lambda t, f: f"检验样本{f.value:.0f}个",
    ("accuracy", "share"): lambda t, f: (
        t.one(f"总体精度{t.share(f.value)}", f"总体精度为{t.share(f.value)}") + t.bounds(f)
        if f.kind == "overall"
        else f"{t.cls(f.cls)}的用户精度为{t.share(f.value)}"
    ),
    ("accuracy", "index"): lambda t, f: f"kappa系数为{f.value:.3f}",
}
