"""What is done with a file of unknown origin, in a child process with limits on memory, time and file size.

A decoder that crashes, hangs or eats memory takes only its child along. The
child is forked from a server process that has the libraries loaded, and
answers in JSON: nothing that it sends is executed.
"""

import json
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from src.dataset.images import load_image
from src.errors import InputError, LandUseError
from src.geo.blocks import ThreadRunner
from src.geo.raster import atomic_path
from src.geo.scenes.product import Given
from src.geo.untrusted import check_raster, guarded_gdal
from src.geo.workspace import Options, add, open_workspace

# Longest side of a picture as the model and the page see it.
PICTURE_SIDE, FRAME_SIDE = 2048, 768
FRAMES = 8
MOST_VIDEO_S = 3600.0
# First bytes (at an offset) of the containers that are decoded, and FFmpeg's name of them. No other demuxer is tried:
# playlists, concatenations and the like open further files and addresses.
_CONTAINERS = ((4, b"ftyp", "mov"), (0, b"\x1a\x45\xdf\xa3", "matroska"), (0, b"RIFF", "avi"))
# First bytes of the rasters whose headers are judged before anything is read; a picture's own limits are load_image's.
_RASTERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
# Numbers (rows x columns x bands) of a raster that is only looked at.
_MOST_SAMPLES = 1_500_000_000
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class JobLimits:
    """What a child may take.

    Args:
        seconds: of wall time.
        memory_bytes: of address space.
        file_bytes: of any file that it writes.
    """

    seconds: float
    memory_bytes: int = 8 << 30
    file_bytes: int = 16 << 30


class JobError(LandUseError):
    """A job did not end well.

    Args:
        kind: "timeout", "crashed", "memory" or "refused".
        detail: what the code said, without paths.
    """

    exit_code = 1

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def read_picture(path: str, target: str) -> dict[str, Any]:
    """Any picture or raster as an RGB PNG of at most PICTURE_SIDE pixels a side; returns its size as it came."""
    with Path(path).open("rb") as file:
        raster = file.read(16).startswith(_RASTERS)
    with guarded_gdal():
        if raster:
            check_raster(Path(path), _MOST_SAMPLES)
        picture = load_image(path)
    size = picture.size
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    _save(picture, Path(target))
    return {"width": size[0], "height": size[1]}


def read_video(path: str, folder: str) -> dict[str, Any]:
    """FRAMES frames at even distances as PNG; returns their times in seconds and the duration.

    Raises:
        InputError: no known container, no video, or too long.
    """
    import av

    source = Path(path)
    with source.open("rb") as file:
        head = file.read(16)
    container_format = next((name for at, magic, name in _CONTAINERS if head[at:].startswith(magic)), None)
    if container_format is None:
        raise InputError(f"{source.name}: no MP4, MOV, WebM, MKV or AVI video")
    times: list[float] = []
    try:
        with av.open(path, format=container_format, options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            if container.duration is None:
                raise InputError(f"{source.name}: the video does not tell its duration; convert it to MP4 (H.264)")
            duration = container.duration / 1_000_000
            if duration > MOST_VIDEO_S:
                raise InputError(f"{source.name}: {duration:.0f} s of video, at most {MOST_VIDEO_S:.0f} s are read")
            for index in range(FRAMES):
                # The middle of each of FRAMES equal parts; decoded from the key frame before it.
                wanted = duration * (index + 0.5) / FRAMES
                container.seek(int(wanted * 1_000_000))
                frame = next((one for one in container.decode(stream) if (one.time or 0.0) >= wanted - 0.05), None)
                if frame is not None and (frame.time or 0.0) not in times:
                    picture = frame.to_image()
                    picture.thumbnail((FRAME_SIDE, FRAME_SIDE))
                    _save(picture, Path(folder) / f"frame_{len(times):02d}.png")
                    times.append(frame.time or 0.0)
    except (av.error.FFmpegError, IndexError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source.name}: not a video that can be decoded; convert it to MP4 (H.264)") from error
    if not times:
        raise InputError(f"{source.name}: no frame can be decoded; convert it to MP4 (H.264)")
    return {"times": times, "seconds": duration}


def add_data(root: str, path: str, given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Add a file to a workspace; returns what was added and, of a scene, its record."""
    workspace = open_workspace(Path(root))
    if given.get("bands") is not None:
        given = given | {"bands": tuple(given["bands"])}
    added = add(workspace, Path(path), Options(given=Given(**given), **options), ThreadRunner(2))
    record = workspace.root / added[0] / "scene.json"
    return {"added": added, "scene": json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"picture": read_picture, "video": read_video, "data": add_data}


def run_job(job: str, limits: JobLimits, **arguments: Any) -> dict[str, Any]:
    """Run one of JOBS in a child and wait for it.

    Args:
        job: key of JOBS.
        limits: of the child.
        arguments: of the job; must pickle.

    Raises:
        JobError: refused with the reason, too slow, out of memory, or crashed.
    """
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=_child, args=(theirs, job, limits, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(limits.seconds):
            raise JobError("timeout", f"{limits.seconds:.0f} s")
        answer = json.loads(ours.recv_bytes(1 << 20))
    except (EOFError, OSError, ValueError) as error:
        raise JobError("crashed") from error
    finally:
        # Our own child, by its handle; after its answer it has nothing left to do.
        child.kill()
        child.join()
        child.close()
        ours.close()
    if "error" in answer:
        raise JobError(answer["error"], answer["detail"])
    return answer["result"]


def preload() -> None:
    """Start the server process that children are forked from, and let it load the libraries."""
    child = _CONTEXT.Process(target=int, daemon=True)
    child.start()
    child.join()


def _child(pipe: Connection, job: str, limits: JobLimits, arguments: dict[str, Any]) -> None:
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))
    try:
        answer: dict[str, Any] = {"result": JOBS[job](**arguments)}
    except MemoryError:
        answer = {"error": "memory", "detail": ""}
    except LandUseError as error:
        answer = {"error": "refused", "detail": str(error)}
    except OSError as error:
        answer = {"error": "disk" if error.errno in (28, 122) else "refused", "detail": error.strerror or ""}
    # A file of unknown origin may raise anything; its text may quote the file, so only the kind is handed on.
    except Exception as error:
        answer = {"error": "refused", "detail": f"cannot be read ({type(error).__name__})"}
    pipe.send_bytes(json.dumps(answer).encode())


def _save(picture: Image.Image, target: Path) -> None:
    with atomic_path(target) as partial:
        picture.save(partial, format="PNG")
