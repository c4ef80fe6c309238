"""Hostile files: nothing outside is read, and bombs are refused before they are decoded."""

import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from src.errors import InputError, MissingPathError
from src.geo.raster import read_raster
from src.geo.untrusted import (
    GDAL_ENVIRONMENT,
    ArchiveLimits,
    check_path,
    check_raster,
    extract_archive,
    guarded_gdal,
    harden_process,
    take_file,
)

SECRET, PLAIN = 77, 1
PLACE = {"crs": "EPSG:32648", "transform": Affine(10, 0, 500_000, 0, -10, 3_400_000)}


def write_tif(path: Path, value: int = PLAIN, side: int = 512) -> Path:
    profile = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": "uint8", **PLACE}
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(np.full((1, side, side), value, np.uint8))
    return path


def vrt_of(path: Path, side: int = 512) -> str:
    return (
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def raw_vrt_of(path: Path) -> str:
    return (
        '<VRTDataset rasterXSize="10" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1" subClass='
        f'"VRTRawRasterBand"><SourceFilename>{path}</SourceFilename></VRTRasterBand></VRTDataset>'
    )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return write_tif(tmp_path / "elsewhere" / "secret.tif", SECRET)


# --- rasters that name other files ---


@pytest.mark.parametrize("make", [vrt_of, raw_vrt_of], ids=["VRT", "VRTRawRasterBand"])
def test_a_virtual_raster_named_tif_is_refused(tmp_path, secret, make):
    path = tmp_path / "image.tif"
    path.write_text(make(secret))
    with pytest.raises(InputError, match="not a GeoTIFF"):
        check_raster(path)


@pytest.mark.parametrize("text", ["{vrt}", "/vsizip/x.zip/a.tif", "/vsicurl/http://x/a.tif", "http://x/a.tif"])
def test_a_path_that_gdal_would_read_as_something_else_is_refused(secret, text):
    with pytest.raises(InputError, match="no path of a local file"):
        check_path(Path(text.replace("{vrt}", vrt_of(secret))))


def decimated(path: Path) -> set[int]:
    return set(np.unique(read_raster(path, max_side=128).data).tolist())


def attack_overview(folder: Path, secret: Path) -> Path:
    path = write_tif(folder / "a.tif")
    (folder / "a.tif.ovr").write_text(vrt_of(secret, 256))
    return path


def attack_aux(folder: Path, secret: Path) -> Path:
    path = write_tif(folder / "a.tif")
    pam = f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{secret}</MDI></Metadata></PAMDataset>'
    (folder / "a.tif.aux.xml").write_text(pam)
    return path


@pytest.mark.parametrize("attack", [attack_overview, attack_aux], ids=["ovr that is a VRT", "aux.xml OVERVIEW_FILE"])
def test_side_files_cannot_bring_in_pixels_of_another_file(tmp_path, secret, attack):
    """Opened plainly, both files return the other file's pixels; the test fails if they stop being an attack."""
    path = attack(tmp_path, secret)
    assert decimated(path) == {SECRET}
    with guarded_gdal():
        assert decimated(path) == {PLAIN}
    alone = take_file(path, tmp_path / "alone")
    assert decimated(alone) == {PLAIN}
    assert [one.name for one in alone.parent.iterdir()] == ["a.tif"]


def test_a_hardened_process_reads_no_side_files(tmp_path, secret):
    path = attack_aux(tmp_path, secret)
    code = (
        "from src.geo.untrusted import harden_process; harden_process()\n"
        "from src.geo.raster import read_raster\n"
        f"print(read_raster({str(path)!r}, max_side=128).data.max())\n"
        "import rasterio.env\n"
        "with rasterio.Env() as env: print('VRT' in env.drivers())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(PLAIN), "False"]


def test_hardening_sets_every_option(monkeypatch):
    for key in GDAL_ENVIRONMENT:
        monkeypatch.setenv(key, "before")
    harden_process()
    assert {key: os.environ[key] for key in GDAL_ENVIRONMENT} == GDAL_ENVIRONMENT


# --- bombs ---


def test_a_sparse_raster_of_60000_squared_is_refused(tmp_path):
    path = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 60_000, "width": 60_000, "dtype": "uint8", **PLACE}
    with rasterio.open(path, "w", tiled=True, sparse_ok=True, compress="deflate", **profile) as sink:
        sink.write(np.ones((1, 16, 16), np.uint8), window=Window(0, 0, 16, 16))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"3\.6e\+09 numbers, at most"):
        check_raster(path)
    with pytest.raises(InputError, match="hostile file, not an image"):
        check_raster(path, max_samples=10**10)


def test_deflated_zeros_are_refused(tmp_path):
    path = tmp_path / "zeros.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 20_000, "width": 20_000, "dtype": "uint8", **PLACE}
    with rasterio.open(path, "w", tiled=True, blockxsize=4096, blockysize=4096, compress="deflate", **profile) as sink:
        for row in range(0, 20_000, 4096):
            sink.write(
                np.zeros((1, min(4096, 20_000 - row), 20_000), np.uint8),
                window=Window(0, row, 20_000, min(4096, 20_000 - row)),
            )
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="hostile file, not an image"):
        check_raster(path)


def test_too_many_bands_and_complex_numbers_are_refused(tmp_path):
    profile = {"driver": "GTiff", "height": 4, "width": 4, **PLACE}
    with rasterio.open(tmp_path / "many.tif", "w", count=65, dtype="uint8", **profile) as sink:
        sink.write(np.ones((65, 4, 4), np.uint8))
    with rasterio.open(tmp_path / "complex.tif", "w", count=1, dtype="complex64", **profile) as sink:
        sink.write(np.ones((1, 4, 4), np.complex64))
    with pytest.raises(InputError, match="65 bands, at most 64"):
        check_raster(tmp_path / "many.tif")
    with pytest.raises(InputError, match="complex64"):
        check_raster(tmp_path / "complex.tif")


def test_an_ordinary_raster_passes(tmp_path):
    grid, count, dtype = check_raster(write_tif(tmp_path / "a.tif"))
    assert (grid.shape_hw, count, dtype) == ((512, 512), 1, "uint8")


def test_take_file_wants_an_empty_folder_and_a_file(tmp_path):
    path = write_tif(tmp_path / "区 域(1).tif")
    assert take_file(path, tmp_path / "in").name == "_1_.tif"
    with pytest.raises(InputError, match="empty folder"):
        take_file(path, tmp_path / "in")
    with pytest.raises(MissingPathError):
        take_file(tmp_path / "none.tif", tmp_path / "other")


def test_an_envi_pair_is_rewritten_without_its_neighbours(tmp_path):
    source = tmp_path / "pair"
    source.mkdir()
    data = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)
    with rasterio.open(
        source / "scene", "w", driver="ENVI", count=2, height=3, width=4, dtype="uint16", **PLACE
    ) as sink:
        sink.write(data)
    taken = take_file(source / "scene", tmp_path / "in")
    assert taken.name == "scene.tif" and [one.name for one in taken.parent.iterdir()] == ["scene.tif"]
    assert np.array_equal(read_raster(taken).data, data)


# --- archives ---


def everything(name: str) -> bool:
    return True


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../out.tif", "/tmp/out.tif", "a/../../out.tif", "..\\out.tif", "C:out.tif"])
def test_members_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="leads out"):
        extract_archive(make_zip(tmp_path / "a.zip", {name: b"x"}), tmp_path / "in", everything)
    with pytest.raises(InputError, match="leads out"):
        extract_archive(make_tar(tmp_path / "a.tar", [(tarfile.TarInfo(name), b"x")]), tmp_path / "in", everything)
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a.tif")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(InputError, match="link or device"):
        extract_archive(make_tar(tmp_path / "a.tar", [(info, b"")]), tmp_path / "in", everything)


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("a.tif")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="link or device"):
        extract_archive(tmp_path / "a.zip", tmp_path / "in", everything)


def test_a_zip_bomb_stops_at_its_limit(tmp_path):
    path = make_zip(tmp_path / "bomb.zip", {"a.tif": bytes(20 << 20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpacks to more than"):
        extract_archive(path, tmp_path / "in", everything, ArchiveLimits(free_bytes=1 << 20))
    # What was unpacked before the limit stays below it by one read at most.
    assert (tmp_path / "in" / "a.tif").stat().st_size <= 100 * path.stat().st_size + (1 << 20)


def test_too_many_members_are_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {f"{i}.tif": b"" for i in range(6)})
    with pytest.raises(InputError, match="more than 5 members"):
        extract_archive(path, tmp_path / "in", everything, ArchiveLimits(members=5))


def test_only_wanted_members_of_known_suffixes_leave_the_archive(tmp_path):
    members = {"p/a.tif": b"1", "p/b.tif": b"2", "p/run.sh": b"3", "p/c.vrt": b"4", "p/in.zip": b"5"}
    out = extract_archive(make_zip(tmp_path / "a.zip", members), tmp_path / "in", lambda name: "b." not in name)
    assert [path.relative_to(tmp_path / "in").as_posix() for path in out] == ["p/a.tif"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_damaged_archive_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        extract_archive(tmp_path / name, tmp_path / "in", everything)


def test_a_cut_off_zip_member_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.tif": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    data[100:200] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be unpacked"):
        extract_archive(path, tmp_path / "in", everything)
