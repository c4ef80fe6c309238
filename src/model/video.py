"""A few frames of a video from a user, read one after another within limits.

Unlike the reader of training videos (``dataset/videos.py``, Qwen's sampling
rule) this one trusts nothing: it never holds more than the frames it returns,
and stops after a number of seconds of video.
"""

from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

from src.errors import InputError, MissingPathError

MAX_SIDE = 8192


@dataclass(frozen=True)
class Frames:
    """Frames of a video, RGB, and how many there are per second of it."""

    frames: list[Image.Image]
    fps: float

    def part(self) -> dict[str, object]:
        """The message part that shows this video to a model."""
        return {"type": "video", "frames": self.frames, "fps": self.fps}


def read_frames(
    path: str | Path, *, max_frames: int = 16, max_seconds: float = 120.0, max_side_px: int = 448
) -> Frames:
    """Sample a video evenly.

    Args:
        path: a local file.
        max_frames: most frames; an even number of at least 2, since two frames share their visual tokens.
        max_seconds: what comes later is not read.
        max_side_px: frames are shrunk to this width and height.

    Returns:
        About two frames per second, fewer where the video is long.

    Raises:
        MissingPathError: no such file.
        InputError: no video that can be decoded, or one of fewer than two frames.
    """
    if not Path(path).is_file():
        raise MissingPathError(f"{path}: no such video file")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if max(stream.width, stream.height) > MAX_SIDE:
                raise InputError(f"{path}: {stream.width} x {stream.height} pixels; at most {MAX_SIDE} a side are read")
            length = float(container.duration or 0) / av.time_base
            seconds = min(length or max_seconds, max_seconds)
            interval = max(min(0.5, seconds / 2), seconds / max_frames)
            rate = float(stream.average_rate or 25)
            frames: list[Image.Image] = []
            for number, frame in enumerate(container.decode(stream)):
                time = number / rate if frame.time is None else float(frame.time)
                if time > max_seconds or len(frames) == max_frames:
                    break
                if time >= len(frames) * interval:
                    frames.append(_shrunk(frame.to_image(), max_side_px))
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not a video that can be decoded ({error}); convert it to MP4 (H.264)") from error
    if len(frames) < 2:
        raise InputError(f"{path}: {len(frames)} frame(s) within {interval:g} s steps; give it as an image")
    return Frames(frames, 1 / interval)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    picture = image.convert("RGB")
    picture.thumbnail((side, side))
    return picture
