"""Networks for land cover fitted and cross-validated in one go, fast enough to answer a question with.

The networks are those of ``src.geo.cover.network``: same layers, optimiser and
settings. Here all of them learn side by side in stacked matrix products: three
for the model, and one for each fold. The folds give how well the classifier does
on land held out, by how much mapped areas of each class are off, and how sure
the model may be of itself. A fold's network stands for the three of the model,
so what is said of them errs on the careful side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from src.geo.blocks import Runner
from src.geo.caveats import CannotTell
from src.geo.cover.features import feature_names, feature_roles
from src.geo.cover.landcover import LEGEND_VERSION, CoverModel, sample_features
from src.geo.cover.network import CoverNetwork
from src.geo.cover.samples import TrainingSamples
from src.geo.cover.validation import BlockedScores, blocked_folds
from src.geo.scene import Scene

_Floats = NDArray[np.float32]
FOLDS = 5
# As in ``src.geo.cover.network``.
_MEMBERS, _HIDDEN, _ALPHA, _BATCH, _RATE, _STEPS, _EPOCHS = 3, (48, 24), 0.05, 128, 3e-3, 2000, (15, 100)
_FARTHEST_SD = 6.0
# Adam (Kingma and Ba 2014, arXiv:1412.6980) with the constants of the paper.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class ScoredCover:
    """A model, and how it does on land that it has not seen.

    Args:
        model: fitted to all samples.
        scores: of the folds together; None where there is too little labelled land to hold some out.
        fold_confusion: (folds, C, C) weights by predicted (rows) and true class (columns), in the order of
            ``scores.classes``; None likewise.
    """

    model: CoverModel
    scores: BlockedScores | None
    fold_confusion: NDArray[np.float64] | None


def fit_scored_cover(scene: Scene, samples: TrainingSamples, runner: Runner, seed: int) -> ScoredCover:
    """Learn land cover from labelled pixels, with blocks of land held out in turn.

    Args:
        scene: to learn from.
        samples: of the scene's grid.
        runner: reads the blocks.
        seed: of networks and folds.

    Raises:
        CannotTell: fewer than two classes among the clear samples.
        InputError: the samples lie on another grid.
    """
    features, kept = sample_features(scene, samples, runner)
    known, truth = np.unique(kept.classes, return_inverse=True)
    if len(known) < 2:
        raise CannotTell(
            "CLASS_NOT_SEPARABLE", f"the clear labelled pixels hold {len(known)} classes; label at least two"
        )
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    scaled = np.clip((features - mean) / scale, -_FARTHEST_SD, _FARTHEST_SD).astype(np.float32)
    weights = (kept.weights / kept.weights.mean()).astype(np.float32)
    folds = blocked_folds(kept.classes, kept.groups, FOLDS, seed) if len(np.unique(kept.groups)) >= FOLDS else []
    every = np.arange(len(truth))
    networks = train_networks(scaled, truth, weights, [*(train for train, _ in folds), *[every] * _MEMBERS], seed)
    temperature, cells = 1.0, None
    if folds:
        held = [(where, _probability(networks[fold], scaled[where])) for fold, (_, where) in enumerate(folds)]
        temperature = _temperature(held, truth, kept.weights)
        cells = np.zeros((len(folds), len(known), len(known)))
        for fold, (where, chance) in enumerate(held):
            np.add.at(cells[fold], (chance.argmax(1), truth[where]), kept.weights[where])
    layers = tuple(networks[len(folds) :])
    network = CoverNetwork(mean.astype(np.float32), scale.astype(np.float32), layers, temperature)
    model = _model(scene, kept, known, network, seed)
    return ScoredCover(model, None if cells is None else blocked_scores(model.classes, cells), cells)


def _model(
    scene: Scene, kept: TrainingSamples, known: NDArray[np.uint8], network: CoverNetwork, seed: int
) -> CoverModel:
    roles = feature_roles(scene.roles)
    return CoverModel(
        route=kept.route,
        sensor=scene.record.sensor,
        quantity=scene.record.quantity,
        roles=roles,
        features=feature_names(roles),
        classes=tuple(int(code) for code in known),
        date=scene.record.date,
        label_source=kept.source,
        label_date=kept.date,
        samples=len(kept),
        seed=seed,
        legend_version=LEGEND_VERSION,
        network=network,
    )


def blocked_scores(classes: tuple[int, ...], cells: NDArray[np.float64]) -> BlockedScores:
    """Scores of one repeat from (folds, C, C) weights by predicted and true class."""
    right, total = np.trace(cells, axis1=1, axis2=2), cells.sum((1, 2))
    return BlockedScores(classes, cells.sum(0), (right / total)[None], np.array([right.sum() / total.sum()]))


def train_networks(
    features: _Floats, truth: NDArray[np.intp], weights: _Floats, members: list[NDArray[np.intp]], seed: int
) -> list[tuple[tuple[_Floats, _Floats], ...]]:
    """Train one network on each set of samples, all at once.

    Args:
        features: (N, F) scaled.
        truth: (N,) index of the class.
        weights: (N,) of the samples.
        members: samples of each network, (n,) indices each.
        seed: of first weights and order.

    Returns:
        (weights (in, out), bias (out,)) of the layers of each network.
    """
    rng = np.random.default_rng(seed)
    sizes = (features.shape[1], *_HIDDEN, int(truth.max()) + 1)
    batch = min(_BATCH, *(len(member) for member in members))
    longest = max(len(member) for member in members)
    steps = int(np.clip(_STEPS * batch / longest, *_EPOCHS) * np.ceil(longest / batch))
    params: list[_Floats] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        # Glorot and Bengio 2010, uniform.
        bound = np.sqrt(6.0 / (before + after))
        params.append(rng.uniform(-bound, bound, (len(members), before, after)).astype(np.float32))
        params.append(rng.uniform(-bound, bound, (len(members), 1, after)).astype(np.float32))
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in params]
    target = np.eye(sizes[-1], dtype=np.float32)[truth]
    for step, rows in enumerate(_batches(members, batch, steps, rng), start=1):
        gradients = _gradients(params, features[rows], target[rows], weights[rows])
        rate = np.float32(_RATE * np.sqrt(1 - _BETA2**step) / (1 - _BETA1**step))
        for part, gradient, (first, second) in zip(params, gradients, moments, strict=True):
            first += np.float32(1 - _BETA1) * (gradient - first)
            second += np.float32(1 - _BETA2) * (gradient * gradient - second)
            part -= rate * first / (np.sqrt(second) + np.float32(_EPSILON))
    pairs = list(zip(params[::2], params[1::2], strict=True))
    return [tuple((weight[k], bias[k, 0]) for weight, bias in pairs) for k in range(len(members))]


def _batches(
    members: list[NDArray[np.intp]], batch: int, steps: int, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """(K, batch) rows of each step: every network walks through its own samples in an order that is dealt anew."""
    order = [rng.permutation(member) for member in members]
    place = [0] * len(order)
    rows = np.empty((len(order), batch), np.intp)
    for _ in range(steps):
        for k, member in enumerate(members):
            if place[k] + batch > len(member):
                order[k], place[k] = rng.permutation(member), 0
            rows[k] = order[k][place[k] : place[k] + batch]
            place[k] += batch
        yield rows


def _gradients(params: list[_Floats], signal: _Floats, target: _Floats, weights: _Floats) -> list[_Floats]:
    """Of the weighted log loss and the decay of weights, layer by layer; (K, batch, ...) in."""
    signals = [signal]
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        signals.append(np.maximum(np.matmul(signals[-1], weight) + bias, 0))
    error = _softmax(np.matmul(signals[-1], params[-2]) + params[-1]) - target
    error *= (weights / weights.sum(1, keepdims=True))[..., None]
    decay = np.float32(_ALPHA / signal.shape[1])
    result: list[_Floats] = []
    for layer in range(len(signals) - 1, -1, -1):
        weight = params[2 * layer]
        slope = np.matmul(signals[layer].transpose(0, 2, 1), error) + decay * weight
        result = [slope, error.sum(1, keepdims=True), *result]
        error = np.matmul(error, weight.transpose(0, 2, 1)) * (signals[layer] > 0)
    return result


def _probability(layers: tuple[tuple[_Floats, _Floats], ...], features: _Floats) -> _Floats:
    """(N, C) of one network."""
    signal = features
    for weight, bias in layers[:-1]:
        signal = np.maximum(signal @ weight + bias, 0)
    return _softmax(signal @ layers[-1][0] + layers[-1][1])


def _softmax(values: _Floats) -> _Floats:
    """Over the last axis."""
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _temperature(
    held: list[tuple[NDArray[np.intp], _Floats]], truth: NDArray[np.intp], weights: NDArray[np.float64]
) -> float:
    """Temperature with the smallest weighted log loss on what was held out (Guo et al. 2017, arXiv:1706.04599)."""
    where = np.concatenate([rows for rows, _ in held])
    logs = np.log(np.maximum(np.concatenate([chance for _, chance in held]), 1e-7))
    right, weight = truth[where][:, None], weights[where]

    def loss(log_temperature: float) -> float:
        sharp = logs / np.exp(log_temperature)
        sharp -= np.log(np.exp(sharp - sharp.max(1, keepdims=True)).sum(1, keepdims=True)) + sharp.max(1, keepdims=True)
        return float(-(weight @ np.take_along_axis(sharp, right, 1)[:, 0]) / weight.sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.5), np.log(4.0)), method="bounded").x))
