"""Land cover of one scene, by three routes: own labels, a reference product, or spectral rules.

    samples = draw_samples(scene, LabelSource(parcels, "sandiao", column="DLBM"), runner, seed=0)
    model = fit_cover(scene, samples, runner, seed=0)

The first two routes fit ``cover_network``; without labels ``cover_rules``
decides. ``src.geo.cover.classify`` makes maps. Classes are those that the labels
hold; garden land needs labels of its own. A model is kept as one file of numbers
and reused on scenes of the same sensor. Not covered: several dates at once, and
sub-pixel shares.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.errors import InputError, MissingPathError
from src.geo.blocks import WIDE_PX, Block, Runner, blocks_of
from src.geo.caveats import CannotTell
from src.geo.cover.features import feature_names, feature_roles, point_features
from src.geo.cover.network import CoverNetwork, fit_network
from src.geo.cover.rules import NEEDED_ROLES
from src.geo.cover.samples import TrainingSamples, changed_pixels
from src.geo.cover.validation import BlockedScores, compare
from src.geo.raster import atomic_path
from src.geo.scene import Scene

_Floats = NDArray[np.float32]
# Of the classes and what the crosswalks of src.geo.legend make of other legends.
LEGEND_VERSION = "land-classes-1"
ROUTES = ("labels", "reference", "rules")
_RULES = "rules"
_CAVEATS: dict[str, tuple[str, ...]] = {"labels": (), "reference": ("LEGEND_MERGED",), "rules": ("SPECTRAL_RULES",)}
# A model of three networks takes about 70 kB; a file that unpacks to more than this is none.
_LARGEST_MODEL_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class CoverModel:
    """How to tell land cover from a scene; pickles, so it can go to workers.

    Args:
        route: one of ROUTES.
        sensor: of the training scene; only scenes of this sensor can be classified.
        quantity: of the training scene, likewise.
        roles: bands that it reads.
        features: their names, in order.
        classes: ids that can come out, ascending.
        date: of the training scene.
        label_source: file name of the labels; None for rules.
        label_date: what they describe.
        samples: pixels that it was fitted to.
        seed: of the fit.
        legend_version: LEGEND_VERSION at the time.
        network: None for rules.
    """

    route: str
    sensor: str
    quantity: str
    roles: tuple[str, ...]
    features: tuple[str, ...]
    classes: tuple[int, ...]
    date: str
    label_source: str | None
    label_date: str | None
    samples: int
    seed: int
    legend_version: str
    network: CoverNetwork | None

    @property
    def caveats(self) -> tuple[str, ...]:
        """Codes that hold for every map of this model."""
        return _CAVEATS[self.route]


def fit_cover(
    scene: Scene, samples: TrainingSamples | None, runner: Runner, seed: int, exclude: Path | None = None
) -> CoverModel:
    """Learn land cover from labelled pixels of a scene, or take the spectral rules.

    Args:
        scene: to learn from.
        samples: of the scene's grid; None means rules.
        runner: reads the blocks.
        seed: of the networks.
        exclude: change raster; samples on its changed pixels (value 2) are left out.

    Raises:
        CannotTell: rules on uncalibrated numbers or without a band that they need; fewer than two classes among the
            clear samples.
        InputError: the samples lie on another grid.
    """
    record = scene.record
    if samples is None:
        if record.quantity == "dn":
            raise CannotTell("DN_ONLY", f"scene {record.id}: spectral rules need reflectance; give labels instead")
        missing = [role for role in NEEDED_ROLES if role not in scene.roles]
        if missing:
            raise CannotTell(
                "CLASS_NOT_SEPARABLE",
                f"scene {record.id}: spectral rules need the bands {', '.join(missing)}; give labels instead",
            )
        classes = tuple(code for code, name in LAND_CLASSES.items() if name != "garden")
        return _model(scene, _RULES, NEEDED_ROLES, NEEDED_ROLES, classes, None, seed, None)
    features, kept = sample_features(scene, samples, runner, exclude)
    classes = tuple(int(code) for code in np.unique(kept.classes))
    if len(classes) < 2:
        raise CannotTell(
            "CLASS_NOT_SEPARABLE",
            f"the clear labelled pixels hold {len(classes)} classes; label at least two",
        )
    network = fit_network(features, kept.classes, kept.weights, kept.groups, seed)
    roles = feature_roles(scene.roles)
    return _model(scene, samples.route, roles, feature_names(roles), classes, kept, seed, network)


def _model(
    scene: Scene,
    route: str,
    roles: tuple[str, ...],
    features: tuple[str, ...],
    classes: tuple[int, ...],
    samples: TrainingSamples | None,
    seed: int,
    network: CoverNetwork | None,
) -> CoverModel:
    return CoverModel(
        route=route,
        sensor=scene.record.sensor,
        quantity=scene.record.quantity,
        roles=roles,
        features=features,
        classes=classes,
        date=scene.record.date,
        label_source=samples.source if samples else None,
        label_date=samples.date if samples else None,
        samples=len(samples) if samples else 0,
        seed=seed,
        legend_version=LEGEND_VERSION,
        network=network,
    )


def sample_features(
    scene: Scene, samples: TrainingSamples, runner: Runner, exclude: Path | None = None
) -> tuple[_Floats, TrainingSamples]:
    """Features of the samples that the scene shows clearly.

    Returns:
        (N, F) float32 and the N samples, in their order.

    Raises:
        InputError: the samples lie on another grid.
    """
    if samples.shape_hw != scene.grid.shape_hw:
        raise InputError(f"samples of a {samples.shape_hw} grid do not fit scene {scene.record.id}")
    roles = feature_roles(scene.roles)
    items = []
    for block in blocks_of(scene.grid.shape_hw, WIDE_PX):
        rows, cols = samples.rows - block.row, samples.cols - block.col
        here = np.flatnonzero((rows >= 0) & (rows < block.height) & (cols >= 0) & (cols < block.width))
        if len(here):
            items.append((block, rows[here], cols[here], here))
    parts, kept = [np.zeros((0, len(feature_names(roles))), dtype=np.float32)], [np.zeros(0, dtype=np.intp)]
    for features, which in runner.map(partial(_features_at, scene, roles, exclude), items):
        parts.append(features)
        kept.append(which)
    number = np.concatenate(kept)
    order = np.argsort(number)
    return np.concatenate(parts)[order], samples.take(number[order])


def _features_at(
    scene: Scene,
    roles: tuple[str, ...],
    exclude: Path | None,
    item: tuple[Block, NDArray[np.int32], NDArray[np.int32], NDArray[np.intp]],
) -> tuple[_Floats, NDArray[np.intp]]:
    block, rows, cols, number = item
    features, usable = point_features(scene, block, rows, cols, roles)
    usable &= ~changed_pixels(exclude, scene.grid, block)[rows, cols]
    return features[usable], number[usable]


def validate_cover(
    scene: Scene, samples: TrainingSamples, runner: Runner, seed: int, *, repeats: int = 1, folds: int = 5
) -> BlockedScores:
    """Accuracy on blocks of labelled land that were held out; see ``validation``.

    Raises:
        InputError: fewer blocks than folds.
    """
    features, kept = sample_features(scene, samples, runner)

    def classify(train: NDArray[np.intp], held: NDArray[np.intp]) -> NDArray[np.uint8]:
        known = np.unique(kept.classes[train])
        if len(known) < 2:
            return np.full(len(held), known[0], dtype=np.uint8)
        part = features[train], kept.classes[train], kept.weights[train], kept.groups[train]
        network = fit_network(*part, seed, calibrate=False)
        return known[network.probability(features[held].T).argmax(0)]

    scores, _ = compare(
        {"ours": classify}, kept.classes, kept.groups, kept.weights, repeats=repeats, folds=folds, seed=seed
    )
    return scores["ours"]


def require_match(model: CoverModel, scene: Scene) -> None:
    """Refuse a model that was not made for scenes like this one.

    Raises:
        InputError: sensor, quantity, bands or legend differ; the text names what.
    """
    record = scene.record
    wants = {"sensor": model.sensor, "quantity": model.quantity, "legend": model.legend_version}
    has = {"sensor": record.sensor, "quantity": record.quantity, "legend": LEGEND_VERSION}
    for what, value in wants.items():
        if has[what] != value:
            raise InputError(f"the land-cover model is for {what} {value}, scene {record.id} has {has[what]}; fit anew")
    roles = NEEDED_ROLES if model.route == _RULES else feature_roles(scene.roles)
    missing = [role for role in model.roles if role not in scene.roles]
    if missing or (model.route != _RULES and (model.roles != roles or model.features != feature_names(roles))):
        raise InputError(
            f"the land-cover model uses the features {', '.join(model.features)}; scene {record.id} "
            f"gives others from its bands {', '.join(scene.roles)}; fit anew"
        )


def save_cover(path: Path, model: CoverModel) -> None:
    """Write a model as one .npz file of plain numbers; nothing in it is code.

    Raises:
        InputError: the path does not end in .npz.
    """
    if path.suffix != ".npz":
        raise InputError(f"{path}: a land-cover model is written as .npz")
    header = {name: value for name, value in vars(model).items() if name != "network"}
    arrays: dict[str, np.ndarray] = {}
    if model.network is not None:
        network = model.network
        header |= {"members": len(network.layers), "depth": len(network.layers[0]), "temperature": network.temperature}
        arrays = {"mean": network.mean, "scale": network.scale}
        for member, layers in enumerate(network.layers):
            for depth, (weights, bias) in enumerate(layers):
                arrays |= {f"weights_{member}_{depth}": weights, f"bias_{member}_{depth}": bias}
    with atomic_path(path) as partial_path:
        np.savez_compressed(partial_path, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]


def load_cover(path: Path) -> CoverModel:
    """Read a model; a file given by a user cannot run code, only be refused.

    Raises:
        MissingPathError: there is no such file.
        InputError: it is not such a model, or its numbers do not fit together.
    """
    if not path.is_file():
        raise MissingPathError(f"{path}: no such land-cover model; save_cover writes one")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > _LARGEST_MODEL_BYTES:
                raise InputError(f"{path}: unpacks to more than a land-cover model holds")
        with np.load(path, allow_pickle=False) as stored:
            values: dict[str, Any] = {name: stored[name] for name in stored.files}
        header = json.loads(str(values.pop("header")))
        return _checked(header, values)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a land-cover model of this project ({error})") from error


def _checked(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> CoverModel:
    """The model, or a ValueError, KeyError or TypeError."""
    members, depth = header.pop("members", 0), header.pop("depth", 0)
    temperature = float(header.pop("temperature", 1.0))
    header |= {name: tuple(header[name]) for name in ("roles", "features", "classes")}
    network = None
    if header["route"] != _RULES:
        layers = tuple(
            tuple((arrays[f"weights_{m}_{d}"], arrays[f"bias_{m}_{d}"]) for d in range(depth)) for m in range(members)
        )
        network = CoverNetwork(arrays["mean"], arrays["scale"], layers, temperature)
        _check_shapes(network, len(header["features"]), len(header["classes"]))
    model = CoverModel(network=network, **header)
    if model.route not in ROUTES or not set(model.classes) <= set(LAND_CLASSES):
        raise ValueError(f"route {model.route!r}, classes {model.classes}")
    return model


def _check_shapes(network: CoverNetwork, features: int, classes: int) -> None:
    if not network.layers or not 0.05 < network.temperature < 20:
        raise ValueError("no networks, or no usable temperature")
    every: Sequence[np.ndarray] = [part for member in network.layers for layer in member for part in layer]
    if any(part.dtype != np.float32 or not np.isfinite(part).all() for part in (network.mean, network.scale, *every)):
        raise ValueError("numbers that are not finite float32")
    for member in network.layers:
        width = features
        for weights, bias in member:
            if weights.shape != (width, len(bias)):
                raise ValueError(f"weights of shape {weights.shape} after {width} inputs")
            width = len(bias)
        if width != classes:
            raise ValueError(f"{width} outputs for {classes} classes")
    if network.mean.shape != (features,) or network.scale.shape != (features,) or (network.scale <= 0).any():
        raise ValueError("mean and scale do not fit the features")
