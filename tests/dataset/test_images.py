"""Images of every kind become upright 8-bit RGB; what cannot is refused with its path."""

import http.server
import io
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image, ImageCms

from src.dataset import images
from src.dataset.images import image_size, load_image
from src.errors import InputError, MissingPathError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def halves(left: tuple[int, int, int], right: tuple[int, int, int], size: tuple[int, int] = (40, 20)) -> Image.Image:
    """A picture of two colours side by side."""
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def write_raster(path: Path, data: np.ndarray, **options) -> Path:
    count, height, width = data.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": data.dtype.name}
    place = {"crs": "EPSG:32648", "transform": Affine(10, 0, 500_000, 0, -10, 3_400_000)}
    with rasterio.open(path, "w", **{**profile, **place, **options}) as sink:
        sink.write(data)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "a.gif", "a.jp2"])
def test_8_bit_pictures_keep_their_colours(name: str, tmp_path: Path):
    lossless = {"quality": 95} if name == "a.jpg" else {"lossless": True} if name == "a.webp" else {}
    halves(RED, BLUE).save(tmp_path / name, **lossless)
    image = load_image(tmp_path / name)
    assert (image.mode, image.size, image_size(tmp_path / name)) == ("RGB", (40, 20), (40, 20))
    for x, colour in ((5, RED), (35, BLUE)):
        assert np.abs(np.subtract(image.getpixel((x, 10)), colour)).max() <= 3
    assert image_size(str(tmp_path / name)) == (40, 20)


def test_palette_grey_bilevel_and_cmyk(tmp_path: Path):
    halves(RED, BLUE).quantize(4).save(tmp_path / "palette.png")
    halves(WHITE, (100, 100, 100)).convert("L").save(tmp_path / "grey.png")
    halves(WHITE, (0, 0, 0)).convert("1").save(tmp_path / "bits.png")
    halves(WHITE, (0, 0, 0)).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    assert load_image(tmp_path / "palette.png").getpixel((35, 5)) == BLUE
    assert load_image(tmp_path / "grey.png").getpixel((35, 5)) == (100, 100, 100)
    assert load_image(tmp_path / "bits.png").getpixel((5, 5)) == WHITE
    cmyk = load_image(tmp_path / "cmyk.jpg")
    assert cmyk.getpixel((5, 5)) == WHITE and max(cmyk.getpixel((35, 5))) <= 3


def test_transparent_pixels_become_white(tmp_path: Path):
    picture = halves(RED, GREEN).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((40, 20)).point(lambda value: 0))
    picture.paste((0, 255, 0, 255), (20, 0, 40, 20))
    picture.save(tmp_path / "alpha.png")
    assert [load_image(tmp_path / "alpha.png").getpixel((x, 5)) for x in (5, 35)] == [WHITE, GREEN]
    palette = halves(RED, BLUE).quantize(2)
    palette.info["transparency"] = palette.getpixel((0, 0))
    palette.save(tmp_path / "palette.gif")
    assert [load_image(tmp_path / "palette.gif").getpixel((x, 5)) for x in (5, 35)] == [WHITE, BLUE]
    half = Image.new("LA", (40, 20), (0, 128))
    half.save(tmp_path / "la.png")
    assert load_image(tmp_path / "la.png").getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"), [(1, (40, 20), (5, 10)), (3, (40, 20), (35, 10)), (6, (20, 40), (10, 5))]
)
def test_exif_orientation_is_applied_to_pixels_and_size(orientation: int, size: tuple, red_at: tuple, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    halves(RED, BLUE).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = load_image(tmp_path / "a.jpg")
    assert image.size == image_size(tmp_path / "a.jpg") == size
    assert image.getpixel(red_at)[0] > 200


def test_deep_rasters_are_stretched_not_clipped(tmp_path: Path):
    ramp = np.linspace(200, 3000, 51 * 51).reshape(51, 51)
    data = np.stack([ramp, ramp[::-1], ramp.T]).astype(np.uint16)
    image = load_image(write_raster(tmp_path / "a.tif", data))
    shown = np.asarray(image)
    assert image.size == image_size(tmp_path / "a.tif") == (51, 51)
    assert shown.dtype == np.uint8 and shown.min() == 0 and shown.max() == 255
    assert abs(int(shown[25, 25, 0]) - 127) <= 2  # the middle of the 2-98 % range
    floats = load_image(write_raster(tmp_path / "f.tif", (data / 1e4).astype(np.float32)))
    assert np.abs(np.asarray(floats).astype(int) - shown).max() <= 1


def test_bands_and_depths_that_pil_misreads(tmp_path: Path):
    rng = np.random.default_rng(0)
    for count, dtype in ((1, np.uint16), (2, np.uint8), (4, np.uint8), (4, np.uint16), (13, np.uint16), (6, np.int16)):
        path = write_raster(tmp_path / f"{count}.tif", rng.integers(0, 200, (count, 30, 33)).astype(dtype))
        image = load_image(path)
        assert (image.mode, image.size, image_size(path)) == ("RGB", (33, 30), (33, 30))
        assert np.asarray(image).std() > 30


def test_16_bit_png_is_stretched(tmp_path: Path):
    grey = np.linspace(0, 3000, 50 * 50).reshape(50, 50).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    write_raster(tmp_path / "rgb.png", np.stack([grey, grey, grey]), driver="PNG")
    for name in ("grey.png", "rgb.png"):
        shown = np.asarray(load_image(tmp_path / name))
        assert image_size(tmp_path / name) == (50, 50)
        assert (shown[0, 0].tolist(), shown[-1, -1].tolist()) == ([0] * 3, [255] * 3)


def test_nodata_is_black_and_an_empty_raster_is_refused(tmp_path: Path):
    data = np.full((3, 20, 20), 500, np.uint16)
    data[:, :, 10:] = np.arange(600, 800, dtype=np.uint16).reshape(20, 10)
    data[:, :5] = 0
    shown = np.asarray(load_image(write_raster(tmp_path / "a.tif", data, nodata=0)))
    assert shown[:5].max() == 0 and shown[5:, 10:].max() == 255
    empty = write_raster(tmp_path / "empty.tif", np.zeros((3, 8, 8), np.uint16), nodata=0)
    with pytest.raises(InputError, match="empty.tif: cannot be read as an image: .*nothing to show"):
        load_image(empty)


@pytest.mark.parametrize(("dtype", "count"), [(np.uint8, 3), (np.uint16, 4)])
def test_large_rasters_are_decimated(dtype: type, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "MAX_RASTER_SIDE", 64)
    data = np.random.default_rng(0).integers(1, 200, (count, 90, 301)).astype(dtype)
    path = write_raster(tmp_path / "large.tif", data)
    assert image_size(path) == load_image(path).size == (64, 19)


def test_a_compression_that_pil_lacks_is_read_by_gdal(tmp_path: Path):
    data = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    path = write_raster(tmp_path / "lerc.tif", data, compress="LERC", tiled=True, blockxsize=32, blockysize=32)
    with pytest.raises(OSError), Image.open(path) as picture:
        picture.load()
    assert np.array_equal(np.asarray(load_image(path)), data.transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "deep.tif"])
def test_a_truncated_file_is_refused_by_name(name: str, tmp_path: Path):
    rng = np.random.default_rng(0)
    path = tmp_path / name
    if name == "deep.tif":
        write_raster(path, rng.integers(0, 4000, (4, 200, 200)).astype(np.uint16))
    else:
        Image.fromarray(rng.integers(0, 255, (200, 200, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match=name):
        load_image(path)


def test_what_is_no_image_is_refused_by_name(tmp_path: Path):
    for name, content in {
        "page.jpg": b"<html>not found</html>",
        "pointer.tif": b"version https://git-lfs.github.com/spec/v1\n",
        "empty.png": b"",
        "half.png": b"\x89PNG\r\n\x1a\n\0\0",
        "half.tif": b"II*\0\x08\0\0\0",
        "half.jpg": b"\xff\xd8\xff\xe0\0",
        "unknown.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 4, 4, 1, 24, 99, 0, 0, 0, 0, 0),
    }.items():
        (tmp_path / name).write_bytes(content)
        for read in (load_image, image_size):
            with pytest.raises(InputError, match=name):
                read(tmp_path / name)
    for read in (load_image, image_size):
        with pytest.raises(MissingPathError, match="none.png: no such image file"):
            read(tmp_path / "none.png")


def test_decompression_bombs_and_slivers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")  # 200 megapixels in 25 kB
    Image.new("L", (11_000, 9_000)).save(tmp_path / "large.png")  # 99 megapixels
    Image.new("RGB", (402, 2)).save(tmp_path / "thin.png")
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\0;"
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + frame)
    for name, reason in (
        ("bomb.png", "bomb.png: Image size .* exceeds limit"),
        ("bomb.gif", "bomb.gif: Image size .* exceeds limit"),
        ("large.png", "at most 89478485"),
        ("thin.png", "a factor of 200"),
    ):
        for read in (load_image, image_size):
            with pytest.raises(InputError, match=reason):
                read(tmp_path / name)


def test_a_virtual_raster_cannot_name_other_files(tmp_path: Path):
    write_raster(tmp_path / "secret.tif", np.ones((1, 4, 4), np.uint16))
    for name in ("a.vrt", "a.tif"):
        (tmp_path / name).write_text(
            '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
            '<SourceFilename relativeToVRT="1">secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
        )
        for read in (load_image, image_size):
            with pytest.raises(InputError, match=name):
                read(tmp_path / name)


@pytest.fixture
def server() -> Iterator[str]:
    """Serves /a.png, /text, /big (too large), /moved (a redirect to a file), on a free local port."""
    buffer = io.BytesIO()
    halves(RED, BLUE).save(buffer, "PNG")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()
                return
            self.send_response(404 if self.path == "/none" else 200)
            self.end_headers()
            self.wfile.write({"/a.png": buffer.getvalue(), "/text": b"hello"}.get(self.path, b"x" * 5000))

        def log_message(self, *arguments):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


def test_urls_are_fetched_only_with_permission_and_within_limits(server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "MAX_REMOTE_BYTES", 4000)
    assert load_image(f"{server}/a.png", allow_remote=True).getpixel((5, 5)) == RED
    assert image_size(f"{server}/a.png", allow_remote=True) == (40, 20)
    for url, allow, reason in (
        (f"{server}/a.png", False, "without permission"),
        (f"{server}/big", True, "larger than 4000 bytes"),
        (f"{server}/none", True, "cannot be fetched"),
        (f"{server}/text", True, "no known image format"),
        (f"{server}/moved", True, "cannot be fetched"),
        ("ftp://127.0.0.1/a.png", True, "only http and https"),
        ("http://127.0.0.1:1/a.png", True, "cannot be fetched"),
    ):
        for read in (load_image, image_size):
            with pytest.raises(InputError, match=reason):
                read(url, allow_remote=allow)


def test_a_redirect_to_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch):
    response = io.BytesIO(b"x")
    response.url = "ftp://example.org/a.png"
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: response)
    with pytest.raises(InputError, match="redirected to ftp://example.org/a.png"):
        load_image("http://example.org/a.png", allow_remote=True)


def test_a_colour_profile_does_not_hinder(tmp_path: Path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    halves(RED, BLUE).save(tmp_path / "a.png", icc_profile=profile)
    assert load_image(tmp_path / "a.png").getpixel((5, 5)) == RED


def test_real_scenes(test_data: Path):
    """Every real raster is shown at the size that its header promises, or refused with its path."""
    refused = set()
    count = 0
    for path in sorted((test_data / "odd").rglob("*")):
        if path.suffix.lower() not in (".tif", ".jp2", ".bmp", ".dat"):
            continue
        count += 1
        try:
            assert load_image(path).size == image_size(path), path
        except InputError as error:
            assert path.name in str(error)
            refused.add(path.name)
    assert count > 20
    assert refused == {"all_nodata_planet_uint16.tif", "complex_int16_sar.tif", "corrupt_tiles.tif"}
    lr = load_image(test_data / "vqa" / "rsvqa_lr" / "Images_LR" / "12.tif")
    with Image.open(test_data / "vqa" / "rsvqa_lr" / "Images_LR" / "12.tif") as picture:
        assert np.array_equal(np.asarray(lr), np.asarray(picture))
