"""Uploads: what is taken, what is asked back, and what hostile files can do (nothing)."""

import http.server
import io
import json
import random
import struct
import threading
import time
import zipfile
import zlib
from pathlib import Path

import av
import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from shapely.geometry import box

from src.geo.workspace import init_workspace
from src.serve import upload_jobs
from src.serve.sessions import SessionStore
from src.serve.storage import Quota, tree_bytes
from src.serve.upload_jobs import JobError, JobLimits, run_job
from src.serve.upload_texts import ASKED, FLAGS, REASONS, TEXT
from src.serve.uploads import Added, Question, UploadError, answer_question, pictures_of, take_data, take_media

PLACE = {"crs": "EPSG:32648", "transform": Affine(10, 0, 500_000, 0, -10, 3_400_000)}
SECRET = 77


@pytest.fixture
def store(tmp_path):
    return SessionStore(tmp_path / "state", Quota(free_bytes=0))


@pytest.fixture
def session(store):
    return store.open("user:a")


@pytest.fixture(scope="module", autouse=True)
def loaded():
    upload_jobs.preload()


@pytest.fixture
def canary(tmp_path):
    """A listener and a file that nothing may touch; yields its address and the list of hits."""
    hits = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", hits
    server.shutdown()


def stack(path: Path, bands: int = 4, dtype: str = "uint16", **profile) -> Path:
    data = np.random.default_rng(1).integers(1200, 4000, (bands, 48, 64)).astype(dtype)
    place = PLACE | profile
    with rasterio.open(path, "w", driver="GTiff", count=bands, height=48, width=64, dtype=dtype, **place) as sink:
        sink.write(data)
    return path


def zone(path: Path, **columns) -> Path:
    frame = gpd.GeoDataFrame(columns or {"name": ["x"]}, geometry=[box(105.0, 30.0, 105.01, 30.01)], crs=4326)
    frame.to_file(path)
    return path


def picture(path: Path, size=(60, 40)) -> Path:
    Image.new("RGB", size, (200, 30, 30)).save(path)
    return path


def video(path: Path, seconds: int = 2, fps: int = 8) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(seconds * fps):
            level = 255 * index // (seconds * fps)
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def refused(store, session, path, media=False, name=None):
    """The message; nothing of the file may stay in the session."""
    if media:
        with pytest.raises(UploadError) as caught:
            take_media(store, session, path, name)
        error = caught.value
    else:
        (error,) = take_data(store, session, [path], names=[name or path.name])
        assert isinstance(error, UploadError), error
    assert tree_bytes(session.root) < 2000 and set(error.say) == {"zh", "en"}
    assert str(session.root) not in error.say["en"] + error.say["zh"]
    return error.say


# --- what is taken


def test_a_picture_becomes_one_png(store, session, tmp_path):
    media = take_media(store, session, picture(tmp_path / "航拍 1.jpg"))
    assert media.kind == "image" and media.name == "航拍 1.jpg" and "60 × 40" in media.say["zh"]
    (shown,) = pictures_of(media)
    assert shown.size == (60, 40) and shown.mode == "RGB"
    assert all(frame.is_relative_to(session.root) for frame in media.frames)


def test_a_large_picture_is_made_smaller(store, session, tmp_path):
    media = take_media(store, session, picture(tmp_path / "p.png", (5000, 1000)))
    assert pictures_of(media)[0].size == (2048, 410) and "5000" in media.say["en"]


def test_a_sixteen_bit_stack_is_rendered(store, session, tmp_path):
    (shown,) = pictures_of(take_media(store, session, stack(tmp_path / "s.tif")))
    assert shown.size == (64, 48) and 60 < np.asarray(shown).mean() < 200


def test_a_video_becomes_frames_in_order(store, session, tmp_path):
    media = take_media(store, session, video(tmp_path / "v.mp4"))
    frames = pictures_of(media)
    means = [np.asarray(frame).mean() for frame in frames]
    assert media.kind == "video" and len(frames) == upload_jobs.FRAMES
    assert media.fps == pytest.approx(upload_jobs.FRAMES / 2, rel=0.1)
    assert means == sorted(means) and means[0] < 40 and means[-1] > 200


def test_a_long_video_gives_no_more_frames(store, session, tmp_path):
    media = take_media(store, session, video(tmp_path / "v.mp4", seconds=60, fps=2))
    assert len(media.frames) == upload_jobs.FRAMES


def test_zones_scenes_and_labels_go_into_the_own_workspace(store, session, tmp_path):
    added = take_data(
        store,
        session,
        [
            zone(tmp_path / "自然保护区.geojson"),
            stack(tmp_path / "S2A_MSIL2A_20240925T033541_N0511_R061_T48RVV_x.tif", 4),
        ],
    )
    assert isinstance(added[0], Added) and added[0].kind == "zone" and added[0].paths == ("zones/自然保护区.gpkg",)
    assert added[1].kind == "scene" and "2024-09-25" in added[1].say["zh"]
    own = store.own_workspace(session)
    assert list(own.zones()) == ["自然保护区"]
    # What was added needs no second copy.
    assert tree_bytes(session.uploads) < 60_000


def test_a_shapefile_in_parts_and_in_a_zip(store, session, tmp_path):
    zone(tmp_path / "red_line.shp")
    parts = sorted(tmp_path.glob("red_line.*"))
    (added,) = take_data(store, session, parts)
    assert isinstance(added, Added) and added.kind == "zone"
    with zipfile.ZipFile(tmp_path / "river_scope.zip", "w") as archive:
        for part in parts:
            archive.write(part, f"folder/river_scope{part.suffix}")
    (added,) = take_data(store, session, [tmp_path / "river_scope.zip"])
    assert isinstance(added, Added) and set(store.own_workspace(session).zones()) == {"red_line", "river_scope"}


def test_a_zone_lies_upon_the_county_until_a_scene_comes(store, session, tmp_path):
    base = init_workspace(tmp_path / "county", name="盐亭县")
    (base.root / "scenes" / "s1").mkdir()
    (added,) = take_data(store, session, [zone(tmp_path / "red_line.gpkg")], base=base)
    own = store.own_workspace(session)
    assert isinstance(added, Added) and own.name == "盐亭县" and (own.root / "scenes" / "s1").is_symlink()
    answers = {"sensor": "generic", "bands": "blue,green,red,nir", "date": "2024-05-01", "numbers": "0.0001"}
    (question,) = take_data(store, session, [stack(tmp_path / "own.tif")])
    assert isinstance(answer_question(store, session, question.upload, answers), Added)
    assert [scene.record.date for scene in store.own_workspace(session).scenes()] == ["2024-05-01"]
    assert list(store.own_workspace(session).zones()) == ["red_line"]


# --- what is asked back


def ask(store, session, path):
    (question,) = take_data(store, session, [path])
    assert isinstance(question, Question), question
    return question


def test_a_bare_stack_is_asked_about_step_by_step(store, session, tmp_path):
    question = ask(store, session, stack(tmp_path / "image.tif", 5))
    assert [one.field for one in question.asks] == ["sensor", "date"]
    assert "传感器、拍摄日期" in question.say["zh"] and "sensor, date" in question.say["en"]
    answers = {"sensor": "sentinel2_l2a", "date": "2024-05-01"}
    question = answer_question(store, session, question.upload, answers)
    assert [one.field for one in question.asks] == ["bands"]
    answers["bands"] = "blue，green，red，nir，-"
    question = answer_question(store, session, question.upload, answers)
    assert [one.field for one in question.asks] == ["baseline"] and len(question.asks[0].choices) == 2
    added = answer_question(store, session, question.upload, answers | {"baseline": "05.09"})
    assert added.kind == "scene" and "2024-05-01" in added.say["zh"]
    (scene,) = store.own_workspace(session).scenes()
    assert (scene.record.sensor, scene.record.baseline) == ("sentinel2_l2a", "05.09")
    with pytest.raises(UploadError, match="no longer there"):
        answer_question(store, session, question.upload, answers)


@pytest.mark.parametrize(("numbers", "quantity"), [("DN", "dn"), ("0.0001, -0.1", "reflectance")])
def test_the_meaning_of_numbers_is_asked_for(store, session, tmp_path, numbers, quantity):
    question = ask(store, session, stack(tmp_path / "image_2024-05-01.tif"))
    answers = {"sensor": "generic", "bands": "blue,green,red,nir"}
    question = answer_question(store, session, question.upload, answers)
    assert [one.field for one in question.asks] == ["numbers"]
    answer_question(store, session, question.upload, answers | {"numbers": numbers})
    assert store.own_workspace(session).scenes()[0].record.quantity == quantity


def test_a_layer_that_may_be_anything_is_asked_about(store, session, tmp_path):
    question = ask(store, session, zone(tmp_path / "layer7.gpkg", code=[3]))
    assert [one.field for one in question.asks] == ["kind"]
    assert {value for value, *_ in question.asks[0].choices} == {"zone", "labels", "scene"}
    question = answer_question(store, session, question.upload, {"kind": "labels"})
    assert [one.field for one in question.asks] == ["label_column"]
    answers = {"kind": "labels", "label_column": "code"}
    question = answer_question(store, session, question.upload, answers)
    assert [one.field for one in question.asks] == ["crosswalk"]
    added = answer_question(store, session, question.upload, answers | {"crosswalk": "canonical"})
    assert added.kind == "labels"


def test_bad_answers_are_told(store, session, tmp_path):
    question = ask(store, session, stack(tmp_path / "image.tif"))
    for answers, said in (
        ({"sensor": "generic", "mask": "/etc/passwd"}, "mask"),
        ({"numbers": "one tenth"}, "one tenth"),
    ):
        with pytest.raises(UploadError, match=said):
            answer_question(store, session, question.upload, answers)
    for bad in ("../../../etc/passwd", "workspace/workspace.yaml", "uploads/none.tif", "/etc/passwd"):
        with pytest.raises(UploadError, match="no longer there"):
            answer_question(store, session, bad, {})


def test_one_session_cannot_go_on_with_anothers_file(store, session, tmp_path):
    question = ask(store, session, stack(tmp_path / "image.tif"))
    other = store.open("user:b")
    with pytest.raises(UploadError, match="no longer there"):
        answer_question(store, other, f"../{session.id}/{question.upload}", {})


def test_every_flag_leads_to_a_question_and_every_text_has_both_languages():
    assert {field for _, field in FLAGS} <= set(ASKED)
    says = [*TEXT.values(), *(say for _, say in REASONS), *(one.say for one in ASKED.values())]
    assert len(says) > 30 and all(set(say) == {"zh", "en"} and all(say.values()) for say in says)


# --- what is refused (R9, R10)


def test_what_is_no_data_or_media_is_refused_by_name(store, session, tmp_path):
    evil = tmp_path / "evil.html"
    evil.write_text("<script>")
    assert "矢量" in refused(store, session, evil, media=True)["zh"]
    assert "Shapefile" in refused(store, session, evil)["en"]
    (tmp_path / "part.dbf").write_bytes(b"x")
    assert ".shp" in refused(store, session, tmp_path / "part.dbf")["en"]


def test_empty_large_and_missing_files(store, session, tmp_path):
    empty, huge = tmp_path / "empty.tif", tmp_path / "huge.tif"
    empty.touch()
    with huge.open("wb") as file:
        file.truncate(5 << 30)
    assert "empty" in refused(store, session, empty)["en"]
    assert "4096 MB" in refused(store, session, huge)["en"]
    assert "256 MB" in refused(store, session, huge, media=True)["en"]
    assert "no longer" in refused(store, session, tmp_path / "none.tif")["en"]


def test_a_thousand_files_stop_at_the_quota(tmp_path):
    store = SessionStore(tmp_path / "state", Quota(free_bytes=0, session_files=20))
    session = store.open("user:a")
    # Questions keep their files, so these count; all others are refused without being read.
    results = take_data(store, session, [stack(tmp_path / "image.tif")] * 25)
    assert [isinstance(one, Question) for one in results] == [True] * 20 + [False] * 5
    start = time.monotonic()
    results = take_data(store, session, [tmp_path / "image.tif"] * 975)
    assert all("20" in one.say["zh"] for one in results) and time.monotonic() - start < 10


def png_bomb(side_w, side_h):
    """A PNG that claims so many pixels and holds a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side_w, side_h, 1, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * ((side_w + 7) // 8 + 1) * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_bombs_are_refused_quickly(store, session, tmp_path):
    (tmp_path / "a.png").write_bytes(png_bomb(20_000, 20_000))
    assert "上限" in refused(store, session, tmp_path / "a.png", media=True)["zh"]
    sparse = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "count": 4, "height": 60_000, "width": 60_000, "dtype": "uint16", **PLACE}
    with rasterio.open(sparse, "w", tiled=True, compress="deflate", SPARSE_OK=True, BIGTIFF="YES", **profile):
        pass
    start = time.monotonic()
    assert "too large" in refused(store, session, sparse, name="S2_L2A_2024-05-01.tif")["en"]
    assert "裁剪" in refused(store, session, sparse, media=True)["zh"]
    with zipfile.ZipFile(tmp_path / "zones.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.geojson", b"0" * (300 << 20))
    assert "archive is refused" in refused(store, session, tmp_path / "zones.zip")["en"]
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("../../x.gpkg", b"x")
    assert "lead out" in refused(store, session, tmp_path / "slip.zip")["en"]
    assert time.monotonic() - start < 15


def vrt(target: str) -> bytes:
    return (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{target}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()


def raw_vrt(target: str) -> bytes:
    return (
        '<VRTDataset rasterXSize="10" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename>{target}</SourceFilename></VRTRasterBand></VRTDataset>'
    ).encode()


def playlist(target: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()


def svg(target: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>'.encode()


def wms(target: str) -> bytes:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{target}/${{x}}</ServerUrl></Service><DataWindow><SizeX>64</SizeX>'
        "<SizeY>64</SizeY><TileLevel>1</TileLevel></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
    ).encode()


def kml(target: str) -> bytes:
    return (
        '<?xml version="1.0"?><kml><NetworkLink><Link><href>' + target + "</href></Link></NetworkLink></kml>"
    ).encode()


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        *((vrt, suffix) for suffix in (".tif", ".png", ".jp2")),
        *((raw_vrt, ".tif"), (wms, ".tif"), (svg, ".png")),
        *((playlist, ".mp4"), (playlist, ".avi")),
        *((kml, ".kml"), (kml, ".geojson")),
    ],
)
def test_files_that_point_elsewhere_read_nothing(store, session, tmp_path, canary, make, suffix):
    """R10: a VRT named .tif read /etc/passwd and called out; a playlist named .mp4 does the same to FFmpeg."""
    address, hits = canary
    secret = tmp_path / "secret.tif"
    with rasterio.open(secret, "w", driver="GTiff", count=1, height=64, width=64, dtype="uint8", **PLACE) as sink:
        sink.write(np.full((1, 64, 64), SECRET, np.uint8))
    before = secret.stat().st_atime_ns
    for target in (str(secret), f"/vsicurl/{address}/x.tif", f"{address}/x.ts", f"file://{secret}"):
        evil = tmp_path / f"evil{suffix}"
        evil.write_bytes(make(target))
        if suffix not in (".kml", ".geojson"):
            refused(store, session, evil, media=True)
        if suffix in (".tif", ".kml", ".geojson"):
            refused(store, session, evil)
    assert hits == [] and secret.stat().st_atime_ns == before


def test_side_files_of_a_raster_are_not_taken_along(store, session, tmp_path, canary):
    address, hits = canary
    path = stack(tmp_path / "image.tif")
    (tmp_path / "image.tif.ovr").write_bytes(vrt(f"/vsicurl/{address}/o.tif"))
    (tmp_path / "image.tif.aux.xml").write_bytes(vrt(f"/vsicurl/{address}/a.tif"))
    take_media(store, session, path)
    take_data(store, session, [path])
    assert hits == []


# --- decoders that misbehave (R11)


def boom(path: str) -> dict:
    import ctypes

    ctypes.string_at(0)
    return {}


def hang(path: str) -> dict:
    time.sleep(60)
    return {}


def eat(path: str) -> dict:
    return {"length": len(bytearray(4 << 30))}


def fill(path: str) -> dict:
    Path(path).write_bytes(b"x" * (64 << 20))
    return {}


@pytest.mark.parametrize(
    ("job", "kind"), [(boom, "crashed"), (hang, "timeout"), (eat, "memory"), (fill, "crashed"), ("none", "refused")]
)
def test_a_decoder_takes_only_its_child_along(tmp_path, monkeypatch, job, kind):
    limits = JobLimits(seconds=3.0, memory_bytes=3 << 30, file_bytes=32 << 20)
    monkeypatch.setattr(upload_jobs, "_child", _child_of_test)
    start = time.monotonic()
    with pytest.raises(JobError) as caught:
        run_job(job if isinstance(job, str) else job.__name__, limits, path=str(tmp_path / "out"))
    assert caught.value.kind == kind or (job is fill and caught.value.kind == "refused")
    assert time.monotonic() - start < 8


_REAL_CHILD = upload_jobs._child


def _child_of_test(pipe, job, limits, arguments):
    """The real child with the misbehaving jobs added."""
    upload_jobs.JOBS.update({one.__name__: one for one in (boom, hang, eat, fill)})
    _REAL_CHILD(pipe, job, limits, arguments)


def seeds(tmp_path) -> dict[str, bytes]:
    buffers = {}
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        out = io.BytesIO()
        Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 50, 3)).astype(np.uint8)).save(out, kind)
        buffers[f".{kind.lower()}".replace("jpeg", "jpg").replace("tiff", "tif")] = out.getvalue()
    buffers["16.tif"] = stack(tmp_path / "seed.tif").read_bytes()
    buffers[".gpkg"] = zone(tmp_path / "seed.gpkg").read_bytes()
    buffers[".geojson"] = zone(tmp_path / "seed.geojson").read_bytes()
    buffers[".mp4"] = video(tmp_path / "seed.mp4", 1, 4).read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / "seed.geojson", "zones.geojson")
    buffers[".zip"] = archive.getvalue()
    return buffers


def fuzzed(data: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, repeats and overwrites a few places."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(max(1, len(out)))
        how = rng.randrange(4)
        if how == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del out[at : at + rng.randint(1, 200)]
        elif how == 2:
            out[at:at] = out[at : at + rng.randint(1, 100)]
        else:
            out[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 65536]))
    return bytes(out) or b"\0"


def test_fuzzed_files_crash_and_hang_nothing(store, session, tmp_path):
    """R11: each file ends as taken, asked about or refused, within seconds, whatever was done to it."""
    rng, slowest, count, taken = random.Random(7), 0.0, 0, 0
    for suffix, data in seeds(tmp_path).items():
        for index in range(21):
            path = tmp_path / f"fuzz_{index}{suffix}"
            path.write_bytes(fuzzed(data, rng))
            start = time.monotonic()
            if suffix in (".gpkg", ".geojson", ".zip", "16.tif"):
                (result,) = take_data(store, session, [path])
                assert isinstance(result, Added | Question | UploadError)
                taken += isinstance(result, Added | Question)
            else:
                try:
                    pictures_of(take_media(store, session, path))
                    taken += 1
                except UploadError as error:
                    assert error.say["zh"] and "Traceback" not in error.say["en"]
            slowest, count = max(slowest, time.monotonic() - start), count + 1
    # Some survive their damage; if none did, the fuzzing or the taking is broken.
    assert count >= 200 and slowest < 10 and 10 < taken < count


def test_jobs_answer_in_json_only():
    """What a child sends is parsed, never unpickled."""
    assert json.loads(json.dumps(run_job.__doc__)) and "recv_bytes" in Path(upload_jobs.__file__).read_text("utf-8")
    assert ".recv()" not in Path(upload_jobs.__file__).read_text("utf-8")
