"""The Chinese font of maps and charts: Noto Sans CJK SC, never a font of the system.

The file comes inside the installed package ``mplfonts``. The font is copyright
Adobe Systems Incorporated and under the SIL Open Font License 1.1
(https://openfontlicense.org), which allows use and embedding in documents.
``mplfonts`` itself is never imported: its helpers rewrite the user's matplotlib
settings. The font is named per text, so other figures of the process keep theirs.
"""

from functools import lru_cache
from importlib import metadata
from pathlib import Path

from matplotlib.font_manager import FontProperties

from src.errors import MissingPathError

_PACKAGE = "mplfonts"
_FILE = "mplfonts/fonts/NotoSansCJKsc-Regular.otf"


@lru_cache(maxsize=1)
def cjk_font_path() -> Path:
    """The font file (OpenType, Latin and 30,000 Chinese characters).

    Raises:
        MissingPathError: the package is not installed, or its file is gone.
    """
    advice = f"install the pinned {_PACKAGE} (bash scripts/setup.sh)"
    try:
        path = Path(str(metadata.distribution(_PACKAGE).locate_file(_FILE)))
    except metadata.PackageNotFoundError as error:
        raise MissingPathError(f"no Chinese font: package {_PACKAGE} is missing; {advice}") from error
    if not path.is_file():
        raise MissingPathError(f"{path}: the Chinese font is missing; {advice}")
    return path


def cjk_font(size_pt: float) -> FontProperties:
    """The font for one text of a matplotlib figure: ``axes.text(..., fontproperties=cjk_font(9))``.

    Args:
        size_pt: height in points, 1/72 inch.

    Raises:
        MissingPathError: as of ``cjk_font_path``.
    """
    return FontProperties(fname=str(cjk_font_path()), size=size_pt)
