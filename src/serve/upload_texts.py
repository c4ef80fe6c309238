"""What is said about uploads, Chinese and English: results, questions back with their choices, and refusals."""

from dataclasses import dataclass

from src.constants import LAND_CLASS_NAMES
from src.geo.scene import CORE_ROLES
from src.geo.zones import ZONE_TYPES

Say = dict[str, str]

TEXT: dict[str, Say] = {
    "picture": {"zh": "{name}：{width} × {height} 像素", "en": "{name}: {width} x {height} pixels"},
    "video": {
        "zh": "{name}：{seconds} 秒视频，均匀取 {n} 帧",
        "en": "{name}: {seconds} s of video, {n} frames at even distances",
    },
    "added_scene": {
        "zh": "{name}：已加入影像，{date}，{sensor}，{level}，清晰 {clear}",
        "en": "{name}: scene added, {date}, {sensor}, {level}, clear {clear}",
    },
    "added_zone": {"zh": "{name}：已加入边界图层", "en": "{name}: zone layer added"},
    "added_labels": {"zh": "{name}：已加入地类标注", "en": "{name}: labels added"},
    "added_samples": {"zh": "{name}：已加入参考样本", "en": "{name}: reference samples added"},
    "question": {
        "zh": "{name}：文件中没有注明{what}，请补充。",
        "en": "{name}: the file does not tell: {what}. Please fill it in.",
    },
    "media_kind": {
        "zh": "{name}：对话中可上传图片和视频（{suffixes}）。矢量和压缩包请在“数据”中上传。",
        "en": "{name}: the chat takes pictures and videos ({suffixes}). Add vectors and archives as data.",
    },
    "data_kind": {
        "zh": "{name}：不支持的格式，可上传 {suffixes}；Shapefile 请连同 .shx .dbf .prj 一起上传或打包为 zip。",
        "en": "{name}: not supported; expected {suffixes}. Send a Shapefile with its .shx .dbf .prj, or zipped.",
    },
    "shape_parts": {
        "zh": "{name}：缺少 .shp 文件，请将 Shapefile 的全部文件一起上传或打包为 zip。",
        "en": "{name}: its .shp file is missing; send all parts of the Shapefile together, or zipped.",
    },
    "empty": {"zh": "{name}：文件为空，请重新导出后上传。", "en": "{name}: the file is empty; export it again."},
    "large": {
        "zh": "{name}：文件超过 {limit}，请裁剪到县域范围后上传。",
        "en": "{name}: the file is larger than {limit}; cut it to the county first.",
    },
    "gone": {"zh": "文件已不在，请重新上传。", "en": "The file is no longer there; send it again."},
    "bad_answer": {"zh": "{name}：无法理解“{value}”，请改正。", "en": "{name}: {value!r} cannot be understood."},
    "timeout": {
        "zh": "{name}：处理超时，文件可能过大或已损坏。",
        "en": "{name}: reading it took too long; it may be too large or damaged.",
    },
    "memory": {
        "zh": "{name}：处理所需内存超过上限，请裁剪后上传。",
        "en": "{name}: reading it needs more memory than allowed; cut it to a smaller area.",
    },
    "crashed": {
        "zh": "{name}：文件无法解析，可能已损坏。其他文件不受影响。",
        "en": "{name}: the file cannot be decoded and may be damaged. Nothing else is affected.",
    },
    "disk": {
        "zh": "{name}：服务器磁盘空间不足，未能保存。",
        "en": "{name}: the server's disk is full; it was not kept.",
    },
}
# What a refusal by ``src.geo`` says -> what to tell the asker; the first match counts.
REASONS: tuple[tuple[str, Say], ...] = (
    (
        r"8-bit colour picture",
        {
            "zh": "这是 8 位彩色图片（截图或预览图），无法量测。请上传含近红外的原始波段；仅供查看可在对话中上传。",
            "en": "an 8-bit colour picture (screenshot, preview) holds no measurement. Send the product's own bands "
            "with near infrared, or show it in the chat.",
        },
    ),
    (
        r"numbers, at most|empty or hostile|are too many|pixels, at most|Image size|decompression",
        {
            "zh": "影像尺寸超过上限或内容异常，请裁剪后上传。",
            "en": "the image is too large, or not what it claims; cut it.",
        },
    ),
    (
        r"factor of \d+",
        {"zh": "图片长宽比过大，请裁剪。", "en": "the picture is too long and narrow; cut it."},
    ),
    (
        r"unpacks to more than|more than \d+ members|leads out of|link or device",
        {
            "zh": "压缩包内容异常（解压过大、成员过多或路径越界），已拒绝。",
            "en": "the archive is refused: it unpacks to too much, has too many members, or names that lead out.",
        },
    ),
    (
        r"cannot be unpacked",
        {"zh": "压缩包已损坏或有密码，无法解压。", "en": "the archive is damaged or has a password."},
    ),
    (
        r"vector layers|images and no known product",
        {
            "zh": "压缩包内有多个或没有可识别的数据，请一次上传一个。",
            "en": "the archive holds no data or several; send one.",
        },
    ),
    (
        r"has no CRS|no CRS|not georeferenced|without a CRS",
        {
            "zh": "没有坐标系，无法定位和量算面积（Shapefile 需带 .prj）。",
            "en": "it has no CRS (a Shapefile needs its .prj).",
        },
    ),
    (
        r"holds \d+ bands?, a scene needs",
        {
            "zh": "波段不足三个，不能作为影像；单波段请连同整景一起打包上传。",
            "en": "fewer than three bands make no scene.",
        },
    ),
    (
        r"not what .* promises|no known image format|unreadable|cannot be read|is damaged|cannot be decoded"
        r"|No such driver|not recognized|not supported as|raster format|broken",
        {
            "zh": "文件内容与扩展名不符，或已损坏，无法读取。",
            "en": "its content is damaged, or not what its name says.",
        },
    ),
    (
        r"no MP4|not a video|no frame|duration",
        {
            "zh": "不是可解码的视频（MP4/WebM/AVI），或过长。",
            "en": "no video that can be decoded (MP4, WebM, AVI), or too long.",
        },
    ),
)
FALLBACK: Say = {"zh": "{name}：无法使用（{detail}）", "en": "{name}: cannot be used ({detail})"}


@dataclass(frozen=True)
class Ask:
    """One thing that a file does not tell.

    Args:
        field: key under which the answer is handed back.
        say: what is asked.
        choices: (value, Chinese, English); empty for free text.
        hint: how free text is written.
    """

    field: str
    say: Say
    choices: tuple[tuple[str, str, str], ...] = ()
    hint: Say | None = None


_SENSOR_NAMES = {
    "sentinel2_l2a": ("哨兵二号 L2A（地表反射率）", "Sentinel-2 L2A (surface reflectance)"),
    "sentinel2_l1c": ("哨兵二号 L1C（大气顶反射率）", "Sentinel-2 L1C (top of atmosphere)"),
    "landsat9": ("陆地卫星 9", "Landsat 9"),
    "landsat8": ("陆地卫星 8", "Landsat 8"),
    "landsat7": ("陆地卫星 7", "Landsat 7"),
    "landsat5": ("陆地卫星 5", "Landsat 5"),
    "hls_s30": ("HLS S30（哨兵二号）", "HLS S30 (Sentinel-2)"),
    "hls_l30": ("HLS L30（陆地卫星）", "HLS L30 (Landsat)"),
    "generic": ("其他（需说明波段）", "another one (name its bands)"),
}
_CROSSWALK_NAMES = {
    "canonical": ("本系统七类编码 1–7", "this system's codes 1 to 7"),
    "sandiao": ("三调地类编码（DLBM）", "third land survey codes (DLBM)"),
    "worldcover": ("ESA WorldCover", "ESA WorldCover"),
    "dynamic_world": ("Dynamic World", "Dynamic World"),
    "clcd": ("CLCD", "CLCD"),
    "from_glc10": ("FROM-GLC10", "FROM-GLC10"),
    "esri": ("Esri Land Cover", "Esri Land Cover"),
    "corine": ("CORINE", "CORINE"),
}
_CLASSES = "、".join(names["zh"] for names in LAND_CLASS_NAMES.values())
ASKED: dict[str, Ask] = {
    ask.field: ask
    for ask in (
        Ask(
            "date", {"zh": "拍摄日期", "en": "date of acquisition"}, hint={"zh": "如 2024-09-25", "en": "as 2024-09-25"}
        ),
        Ask(
            "sensor",
            {"zh": "传感器", "en": "sensor"},
            tuple((key, *names) for key, names in _SENSOR_NAMES.items()),
        ),
        Ask(
            "level",
            {"zh": "处理级别", "en": "processing level"},
            (
                ("L2SP", "二级地表反射率 L2SP", "Level-2 surface reflectance L2SP"),
                ("L2A", "二级地表反射率 L2A", "Level-2 surface reflectance L2A"),
                ("L1C", "一级大气顶 L1C", "Level-1 top of atmosphere L1C"),
                ("DN", "未定标灰度值", "uncalibrated numbers"),
            ),
        ),
        Ask(
            "baseline",
            {"zh": "处理基线", "en": "processing baseline"},
            (
                ("05.09", "2022年1月25日以后处理（04.00 及以上）", "processed since 2022-01-25 (04.00 and later)"),
                ("02.14", "此前处理（03.01 及以下）", "processed before (03.01 and earlier)"),
            ),
        ),
        Ask(
            "bands",
            {"zh": "各波段含义", "en": "role of each band"},
            hint={
                "zh": f"按顺序写，逗号分隔，不用的写 -：{','.join(CORE_ROLES)}",
                "en": f"in order, with commas, - for a band to leave out: {','.join(CORE_ROLES)}",
            },
        ),
        Ask(
            "numbers",
            {"zh": "像元值含义", "en": "meaning of the numbers"},
            (
                ("0.0001", "反射率 × 10000", "reflectance x 10000"),
                ("0.0001, -0.1", "反射率 × 10000 + 1000（哨兵二号 2022 年以后）", "reflectance x 10000 + 1000"),
                ("0.0000275, -0.2", "陆地卫星 C2 二级产品", "Landsat Collection 2 Level-2"),
                ("1", "反射率（0–1）", "reflectance (0 to 1)"),
                ("DN", "未定标灰度值（只能看光谱变化）", "uncalibrated (spectral change only)"),
            ),
        ),
        Ask(
            "kind",
            {"zh": "数据类型", "en": "what it is"},
            (("zone", "边界图层", "zones"), ("labels", "地类标注", "land-cover labels"), ("scene", "影像", "a scene")),
        ),
        Ask(
            "zone_type",
            {"zh": "边界类型", "en": "kind of zone"},
            tuple((key, zone.zh, zone.en) for key, zone in ZONE_TYPES.items()),
        ),
        Ask(
            "label_column",
            {"zh": "地类编码所在字段", "en": "column of the class codes"},
            hint={"zh": "字段名，如 DLBM", "en": "its name, such as DLBM"},
        ),
        Ask(
            "crosswalk",
            {"zh": f"编码体系（归并为{_CLASSES}）", "en": "scheme of the class codes"},
            tuple((key, *names) for key, names in _CROSSWALK_NAMES.items()),
        ),
    )
}
# What a refusal by ``src.geo`` asks for -> field of ASKED; the first match counts.
FLAGS: tuple[tuple[str, str], ...] = (
    (r"give --as zone", "kind"),
    (r"give --label-column", "label_column"),
    (r"give --crosswalk", "crosswalk"),
    (r"give --baseline", "baseline"),
    (r"give --scale", "numbers"),
    (r"need the gains of their MTL", "numbers"),
    (r"give --bands", "bands"),
    (r"give --sensor", "sensor"),
    (r"give --date", "date"),
    (r"give --level", "level"),
)
