"""Videos from users: few frames, in order, within limits, at the rate the model is told."""

import av
import numpy as np
import pytest

from src.errors import InputError, MissingPathError
from src.model.engine import with_images
from src.model.video import read_frames


def clip(path, frames=50, fps=10, width=64, height=48):
    """A video that brightens from black to white."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            level = np.full((height, width, 3), 255 * number // frames, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
        container.mux(stream.encode())
    return path


def levels(video):
    return [float(np.asarray(frame).mean()) for frame in video.frames]


def test_frames_are_even_and_their_rate_is_right(tmp_path):
    """Five seconds at ten a second: one frame each half second."""
    video = read_frames(clip(tmp_path / "a.mp4"))
    assert len(video.frames) == 10 and video.fps == 2.0
    assert np.allclose(np.diff(levels(video)), 25.5, atol=4)
    part = video.part()
    assert with_images([{"role": "user", "content": [part]}])[0]["content"] == [part]


def test_long_videos_are_thinned_and_cut(tmp_path):
    path = clip(tmp_path / "a.mp4")
    thin = read_frames(path, max_frames=4)
    assert len(thin.frames) == 4 and thin.fps == pytest.approx(0.8)
    assert levels(thin)[-1] > 180, "they span the whole video"
    cut = read_frames(path, max_seconds=2.0)
    assert len(cut.frames) in (4, 5) and levels(cut)[-1] < 110


def test_short_and_large_videos(tmp_path):
    video = read_frames(clip(tmp_path / "a.mp4", frames=5, fps=25, width=640, height=320))
    assert len(video.frames) == 2 and video.frames[0].size == (448, 224)


def test_what_is_no_video_is_refused(tmp_path):
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    with pytest.raises(InputError, match=r"convert it to MP4"):
        read_frames(text)
    with pytest.raises(MissingPathError):
        read_frames(tmp_path / "absent.mp4")
    with pytest.raises(MissingPathError):
        read_frames("http://127.0.0.1/a.mp4")
    with pytest.raises(InputError, match="give it as an image"):
        read_frames(clip(tmp_path / "b.mp4", frames=1))
