"""Frames of a video file, sampled by Qwen's rule, as arrays."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from qwen_vl_utils.vision_process import smart_nframes
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize
from transformers.video_utils import VideoMetadata

from src.constants import VISUAL_TOKEN_PX
from src.errors import InputError, MissingPathError


@dataclass(frozen=True)
class VideoOptions:
    """Frame sampling and pixel limits of a video.

    Args:
        fps: frames taken per second of video; 1.0 when neither is given.
        nframes: frames taken in all; excludes fps.
        min_pixels: smallest area of a frame.
        max_pixels: largest area of a frame.
        resized_wh: fixed width and height of every frame, or None.
        max_frames: most frames taken.
    """

    fps: float | None = None
    nframes: int | None = None
    min_pixels: int = 128 * VISUAL_TOKEN_PX**2
    max_pixels: int = 768 * VISUAL_TOKEN_PX**2
    resized_wh: tuple[int, int] | None = None
    max_frames: int = 768

    @property
    def max_tokens(self) -> int:
        """Upper bound of the visual tokens of one video; two frames share their tokens."""
        frames = self.nframes or self.max_frames
        return (frames + 1) // 2 * (self.max_pixels // VISUAL_TOKEN_PX**2)


@dataclass(frozen=True)
class Clip:
    """Sampled frames, uint8 (T, H, W, 3), and where they come from."""

    frames: np.ndarray
    metadata: VideoMetadata


def load_video(path: str, options: VideoOptions) -> Clip:
    """Decode a video file and sample its frames evenly.

    Args:
        path: a local file; addresses are never opened.
        options: how many frames and how large.

    Raises:
        MissingPathError: the file does not exist.
        InputError: the file holds no video that can be decoded.
    """
    try:
        with av.open(path) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
            rate = float(container.streams.video[0].average_rate or 1)
    except FileNotFoundError as error:
        raise MissingPathError(f"{path}: no such video file") from error
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not a video that can be decoded ({error}); convert it to MP4 (H.264)") from error
    if len(frames) < 2:
        raise InputError(f"{path}: {len(frames)} frame(s); a video needs two or more, else give it as an image")
    rule: dict[str, Any] = {"nframes": options.nframes} if options.nframes else {"fps": options.fps or 1.0}
    count = smart_nframes(rule | {"max_frames": options.max_frames}, total_frames=len(frames), video_fps=rate)
    index = np.linspace(0, len(frames) - 1, count).round().astype(int)
    picked = [_resize(frames[i], options) for i in index]
    meta = VideoMetadata(
        total_num_frames=len(frames), fps=rate, duration=len(frames) / rate, frames_indices=index.tolist()
    )
    return Clip(np.stack([np.asarray(frame) for frame in picked]), meta)


def _resize(frame: Any, options: VideoOptions) -> Any:
    """Bring a frame into the pixel limits with sides that are multiples of a visual token."""
    if options.resized_wh:
        width, height = options.resized_wh
    else:
        height, width = smart_resize(frame.height, frame.width, VISUAL_TOKEN_PX, options.min_pixels, options.max_pixels)
    return frame.resize((width, height))
