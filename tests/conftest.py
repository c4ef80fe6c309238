"""Fixtures shared by all tests."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real imagery named by TEST_DATA; tests that need it skip where it is unset."""
    folder = os.environ.get("TEST_DATA")
    if not folder:
        pytest.skip("TEST_DATA is unset: this test reads real imagery kept outside the repository")
    return Path(folder)


@pytest.fixture(scope="session")
def repo() -> Path:
    """Root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def format_cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """One small trainable file per input format: {name in CONVERTERS: (data path, image folder)}."""
    folder = tmp_path_factory.mktemp("formats")
    rng = np.random.default_rng(0)

    def pixels(rgb: tuple[int, int, int]) -> np.ndarray:
        return np.clip(rng.normal(rgb, 12, (84, 112, 3)), 0, 255).astype(np.uint8)

    for name, rgb in {
        "scenes/river.png": (40, 70, 120),
        "scenes/town.png": (150, 140, 135),
        "mmdu_pics/river.jpg": (40, 70, 120),
        "mmdu_pics/town.jpg": (150, 140, 135),
        "Images_LR/4.tif": (150, 140, 135),
        "Images_LR/9.tif": (40, 70, 120),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(rgb)).save(folder / name)
    bands = rng.integers(200, 4000, (4, 60, 70)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 4, "height": 60, "width": 70, "dtype": "uint16"}
    place = {"crs": "EPSG:32648", "transform": Affine(10, 0, 500_000, 0, -10, 3_400_000)}
    with rasterio.open(folder / "scenes/field_2023.tif", "w", **profile, **place) as raster:
        raster.write(bands)
    fixtures = REPO / "tests/fixtures/formats"
    files = {path.stem: path for path in fixtures.iterdir() if path.name != "rsvqa"}
    files["rsvqa"] = fixtures / "rsvqa" / "LR_split_train_questions.json"
    return {name: (path, folder) for name, path in files.items()}
