"""Quality layers of products, decoded to the codes of ``scene.MASK_CODES``.

Each layer has a bit table of its own: the bits of Collection 1 BQA are not
those of Collection 2 QA_PIXEL.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from src.errors import InputError
from src.geo.scene import CLEAR, CLOUD, NO_DATA, SATURATED, SHADOW, SNOW

PRODUCT_KINDS = ("QA_PIXEL", "BQA", "SCL", "Fmask")
# Masks of the user's own: anything but 0 means clear, or hidden by cloud.
OWN_KINDS = ("clear", "hidden")
QUALITY_KINDS = PRODUCT_KINDS + OWN_KINDS
# Clouds and shadows of the Sentinel-2 scene classification are drawn too small; the edge is widened by this much.
# A choice of this project, not of the product: ten pixels of 10 m, the lower end of the 100 to 200 m in use.
SCL_MARGIN_M = 100.0

# Sentinel-2 Products Specification Document, scene classification: 0 no data, 1 saturated or defective, 2 dark area,
# 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud, 10 thin cirrus, 11 snow or ice.
_SCL = {0: NO_DATA, 1: SATURATED, 3: SHADOW, 8: CLOUD, 9: CLOUD, 10: CLOUD, 11: SNOW}
_FMASK_FILL = 255

_Hits = list[tuple[int, NDArray[np.bool_]]]
_Table = Callable[[NDArray[np.int64]], _Hits]


def decode_quality(values: np.ndarray, kind: str) -> NDArray[np.uint8]:
    """Codes of MASK_CODES from a quality layer.

    Args:
        values: integers as stored, any shape.
        kind: one of QUALITY_KINDS.

    Returns:
        uint8 of the same shape. No data wins over cloud, cloud over shadow, shadow over snow, snow over saturation.

    Raises:
        InputError: unknown kind, or values that are not integers.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"a quality layer holds integers, this one {values.dtype}")
    numbers = values.astype(np.int64)
    codes = np.full(values.shape, CLEAR, np.uint8)
    if kind == "SCL":
        for value, code in _SCL.items():
            codes[numbers == value] = code
    elif kind == "QA_PIXEL":
        _mark(codes, numbers, _qa_pixel)
    elif kind == "BQA":
        _mark(codes, numbers, _bqa)
    elif kind == "Fmask":
        _mark(codes, numbers, _fmask)
    elif kind == "clear":
        codes[numbers == 0] = CLOUD
    elif kind == "hidden":
        codes[numbers != 0] = CLOUD
    else:
        raise InputError(f"unknown quality layer {kind!r}; expected one of {', '.join(QUALITY_KINDS)}")
    return codes


def widen(codes: NDArray[np.uint8], margin_px: float) -> NDArray[np.uint8]:
    """Clouds and cloud shadows grown over clear and snowy pixels nearer than a margin; clouds first.

    Args:
        codes: (H, W) of MASK_CODES.
        margin_px: pixels between centres; below 1 nothing grows.
    """
    grown = codes.copy()
    for code in (SHADOW, CLOUD):
        source = codes == code
        if margin_px >= 1 and source.any():
            near = distance_transform_edt(~source) <= margin_px
            grown[near & np.isin(grown, (CLEAR, SNOW, SHADOW))] = code
    return grown


def _mark(codes: NDArray[np.uint8], numbers: NDArray[np.int64], table: _Table) -> None:
    """Write the codes of a bit table, the strongest last."""
    for code, hit in table(numbers):
        codes[hit] = code


def _bit(numbers: NDArray[np.int64], *bits: int) -> NDArray[np.bool_]:
    """Where any of the bits is set."""
    return (numbers & sum(1 << bit for bit in bits)) != 0


def _qa_pixel(numbers: NDArray[np.int64]) -> _Hits:
    """Landsat Collection 2, LSDS-1619: 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow.

    Bit 6 "clear" stays set on cloud shadow, so it decides nothing.
    """
    return [
        (SNOW, _bit(numbers, 5)),
        (SHADOW, _bit(numbers, 4)),
        (CLOUD, _bit(numbers, 1, 2, 3)),
        (NO_DATA, _bit(numbers, 0)),
    ]


def _bqa(numbers: NDArray[np.int64]) -> _Hits:
    """Landsat Collection 1, https://www.usgs.gov/landsat-missions/landsat-collection-1-level-1-quality-assessment-band.

    0 fill, 2-3 bands with saturation, 4 cloud; confidences 0..3 of shadow in
    bits 7-8, snow 9-10, cirrus 11-12 (3 = high). Bit 1 is terrain occlusion
    (OLI) or a dropped pixel (TM, ETM+): no measurement either way.
    """
    return [
        (SATURATED, _bit(numbers, 2, 3)),
        (SNOW, (numbers >> 9 & 3) == 3),
        (SHADOW, (numbers >> 7 & 3) == 3),
        (CLOUD, _bit(numbers, 4) | ((numbers >> 11 & 3) == 3)),
        (NO_DATA, _bit(numbers, 0, 1)),
    ]


def _fmask(numbers: NDArray[np.int64]) -> _Hits:
    """HLS v2.0 user guide, table of Fmask: 1 cloud, 2 beside cloud or shadow, 3 shadow, 4 snow; 255 fill."""
    return [
        (SNOW, _bit(numbers, 4)),
        (CLOUD, _bit(numbers, 2)),
        (SHADOW, _bit(numbers, 3)),
        (CLOUD, _bit(numbers, 1)),
        (NO_DATA, numbers == _FMASK_FILL),
    ]
