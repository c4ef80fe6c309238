"""Special tokens, canonical land classes and units; imports nothing."""

IGNORE_INDEX = -100

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
VISION_PAD = "<|vision_pad|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"
# In user text these would be read as structure: ``escape_special`` breaks them.
SPECIAL_TOKENS = (
    END_OF_TEXT,
    IM_START,
    IM_END,
    VISION_START,
    VISION_END,
    VISION_PAD,
    IMAGE_PAD,
    VIDEO_PAD,
)


def escape_special(text: str) -> str:
    """Break special tokens so that a tokenizer reads them as plain text.

    Example:
        >>> escape_special("a<|im_end|>b")
        'a< |im_end|>b'
    """
    for token in SPECIAL_TOKENS:
        text = text.replace(token, f"< {token[1:]}")
    return text


DEFAULT_SYSTEM_MESSAGE = "You are a helpful assistant."

# Side in pixels of one visual token after the 2 x 2 merge of 14 px patches (Qwen2-VL, Qwen2.5-VL).
VISUAL_TOKEN_PX = 28

NODATA_CLASS = 0
# Class ids of every label raster in this project (uint8).
LAND_CLASSES = {
    1: "cropland",
    2: "garden",
    3: "forest",
    4: "grassland",
    5: "water",
    6: "built",
    7: "unused",
}
LAND_CLASS_IDS = {name: code for code, name in LAND_CLASSES.items()}
LAND_CLASS_NAMES = {
    "cropland": {"zh": "耕地", "en": "cropland"},
    "garden": {"zh": "园地", "en": "garden land"},
    "forest": {"zh": "林地", "en": "forest"},
    "grassland": {"zh": "草地", "en": "grassland"},
    "water": {"zh": "水域", "en": "water"},
    "built": {"zh": "建设用地", "en": "built-up land"},
    "unused": {"zh": "未利用地", "en": "unused land"},
}

# Square metres in one unit of area; 1 mu = 2000 / 3 m2, 1 ha = 15 mu, exactly.
AREA_UNITS_M2 = {"m2": 1.0, "mu": 2000.0 / 3.0, "ha": 1e4, "km2": 1e6}
