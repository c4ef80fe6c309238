"""Images as the model sees them: 8-bit RGB, from any picture PIL opens and any raster GDAL opens.

Photographs go through PIL. GeoTIFFs of other depths or band counts go through
``geo.render``: natural-colour bands of the sensor, 2-98 % stretch over valid
pixels, decimated to MAX_RASTER_SIDE.
"""

import io
import urllib.request
import warnings
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

import rasterio
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from src.errors import InputError, LandUseError, MissingPathError
from src.geo.raster import read_raster
from src.geo.render import render_rgb

MAX_RASTER_SIDE = 4096
# PIL's own warning threshold: a quarter of a gigabyte at three bytes a pixel.
MAX_PICTURE_PIXELS = 89_478_485
MAX_REMOTE_BYTES = 32 << 20
REMOTE_TIMEOUT_S = 20
# Beyond this ratio of the sides Qwen's resizing rule raises.
MAX_ASPECT_RATIO = 200

_PICTURE_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
# First bytes -> GDAL driver of the files that may hold more than 8 bits or three bands.
_RASTER_MAGIC = {
    b"\x89PNG": "PNG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}
_ORIENTATIONS_THAT_SWAP_SIDES = {5, 6, 7, 8}


def is_remote(path: str) -> bool:
    """True for anything that is a URL and not a path."""
    return "://" in path and not path.startswith("file://")


def load_image(path: str | Path, *, allow_remote: bool = False) -> Image.Image:
    """Read one image, upright and in RGB.

    Transparent pixels become white (as in qwen-vl-utils); invalid pixels of a
    raster become black. Of an animation the first frame is taken.

    Args:
        path: a file, or an http(s) URL.
        allow_remote: fetch URLs, up to MAX_REMOTE_BYTES.

    Raises:
        MissingPathError: no such file.
        InputError: no image, truncated, too large, of extreme shape, or a URL without permission.
    """
    name = str(path)
    if is_remote(name):
        return _load_picture(name, io.BytesIO(_fetch(name, allow_remote)))
    if not Path(path).is_file():
        raise MissingPathError(f"{name}: no such image file")
    if _is_picture(path):
        try:
            return _load_picture(name, Path(path))
        except InputError:
            if _raster_driver(path) != "GTiff":
                raise
            # A TIFF compression that PIL lacks is no damage: GDAL tries.
    try:
        picture = Image.fromarray(render_rgb(read_raster(path, max_side=MAX_RASTER_SIDE)))
    except LandUseError as error:
        raise InputError(f"{name}: cannot be read as an image: {error}") from error
    _refuse_extreme_shape(name, *picture.size)
    return picture


def image_size(path: str | Path, *, allow_remote: bool = False) -> tuple[int, int]:
    """Width and height in pixels of what ``load_image`` would return, from the header alone.

    Args:
        path: a file, or an http(s) URL.
        allow_remote: fetch URLs (in full: a header alone cannot be asked for).

    Raises:
        MissingPathError: no such file.
        InputError: the header cannot be read, the image is too large or of extreme shape, or a URL without permission.
    """
    name = str(path)
    if is_remote(name):
        with _open_picture(name, io.BytesIO(_fetch(name, allow_remote))) as picture:
            return _upright_size(picture)
    if not Path(path).is_file():
        raise MissingPathError(f"{name}: no such image file")
    if _is_picture(path):
        with _open_picture(name, Path(path)) as picture:
            return _upright_size(picture)
    _, _, width, height = _raster_header(path, _raster_driver(path))
    factor = max(1.0, max(width, height) / MAX_RASTER_SIDE)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    _refuse_extreme_shape(name, *size)
    return size


def _raster_driver(path: str | Path) -> str | None:
    """GDAL's driver for a file that may hold more than 8 bits or three bands; None for other files."""
    with Path(path).open("rb") as file:
        head = file.read(12)
    return next((driver for magic, driver in _RASTER_MAGIC.items() if head.startswith(magic)), None)


def _is_picture(path: str | Path) -> bool:
    """True where PIL reads the file rightly; False where it is for ``geo.render``."""
    driver = _raster_driver(path)
    if driver:
        dtypes, count, width, height = _raster_header(path, driver)
        if driver == "PNG":
            return dtypes == {"uint8"} or width * height > MAX_PICTURE_PIXELS  # PIL's way refuses the latter
        # A second or fourth band may be alpha, near infrared or anything; PIL cannot know.
        small = max(width, height) <= MAX_RASTER_SIDE
        return driver == "GTiff" and dtypes == {"uint8"} and count in (1, 3) and small
    try:
        with _quiet_open(path) as picture:
            return picture.mode in _PICTURE_MODES
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return True  # PIL knows the format, and will say what is wrong


def _quiet_open(source: str | Path | io.BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below refuses, with the path
        return Image.open(source)


def _open_picture(name: str, source: Path | io.BytesIO) -> Image.Image:
    try:
        picture = _quiet_open(source)
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: unreadable image header: no known image format") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: unreadable image header: {error}") from error
    width, height = picture.size
    if width * height > MAX_PICTURE_PIXELS:
        raise InputError(f"{name}: {width} x {height} pixels, at most {MAX_PICTURE_PIXELS} are read; cut it into tiles")
    _refuse_extreme_shape(name, width, height)
    return picture


def _load_picture(name: str, source: Path | io.BytesIO) -> Image.Image:
    with _open_picture(name, source) as picture:
        try:
            upright = ImageOps.exif_transpose(picture)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{name}: the image is damaged: {error}") from error
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            canvas = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(canvas, layer).convert("RGB")
        return upright.convert("RGB")


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    if picture.getexif().get(ExifTags.Base.Orientation) in _ORIENTATIONS_THAT_SWAP_SIDES:
        return height, width
    return width, height


def _raster_header(path: str | Path, driver: str | None) -> tuple[set[str], int, int, int]:
    """Band types, number of bands, width and height; a file without known first bytes may be ENVI."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver or "ENVI") as source:
                return set(source.dtypes), source.count, source.width, source.height
    except RasterioError as error:
        reason = error if driver else "no known image format"
        raise InputError(f"{path}: unreadable image header: {reason}") from error


def _refuse_extreme_shape(name: str, width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InputError(f"{name}: {width} x {height} pixels; the sides may differ by a factor of {MAX_ASPECT_RATIO}")


def _fetch(url: str, allow_remote: bool) -> bytes:
    if not allow_remote:
        raise InputError(f"remote URL {url!r} without permission: set --allow_remote_images True")
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: only http and https are fetched")
    try:
        # urllib follows redirects to http, https and ftp only; the final scheme is checked again.
        with urllib.request.urlopen(url, timeout=REMOTE_TIMEOUT_S) as response:
            if urlsplit(response.url).scheme not in ("http", "https"):
                raise InputError(f"{url}: redirected to {response.url}; only http and https are fetched")
            data = response.read(MAX_REMOTE_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        raise InputError(f"{url}: cannot be fetched: {error}") from error
    if len(data) > MAX_REMOTE_BYTES:
        raise InputError(f"{url}: larger than {MAX_REMOTE_BYTES} bytes")
    return data
