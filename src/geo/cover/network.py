"""A small ensemble of neural networks: fitted with scikit-learn, applied and stored as plain numbers.

Networks of 48 and 24 units classify a million pixels in under a second: matrix
products in float32, no trees to walk. Beside a random forest of 100 trees, under
spatially blocked validation: ``evaluation.benchmarks.landcover``.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from src.geo.cover.validation import blocked_folds

_Floats = NDArray[np.float32]
_MEMBERS = 3
_HIDDEN = (48, 24)
# Decay between 0.01 and 0.1, which blocked validation could not tell apart (1 was clearly worse on simulated
# counties); steps for speed: training longer gained about a hundredth of accuracy on the one county tried.
_ALPHA, _BATCH, _RATE, _STEPS = 0.05, 128, 3e-3, 2000
_EPOCHS = (15, 100)
# Features further from the training mean than this many standard deviations count as this far: beyond the
# training data a network's answer grows without limit.
_FARTHEST_SD = 6.0
# Pixels in work at a time; their activations stay in the cache.
_CHUNK_PX = 4096
# One part in four of the labelled blocks is held out to calibrate the confidence, if there are as many as this.
_CALIBRATION_FOLDS, _MIN_CALIBRATION_GROUPS = 4, 8


@dataclass(frozen=True, eq=False)
class CoverNetwork:
    """A fitted ensemble.

    Args:
        mean: (F,) float32 of the training features.
        scale: (F,) float32, their standard deviations.
        layers: per member, (weights (in, out), bias (out,)) float32 of each layer.
        temperature: the averaged probabilities are raised to 1 / temperature (Guo et al. 2017, arXiv:1706.04599).
    """

    mean: _Floats
    scale: _Floats
    layers: tuple[tuple[tuple[_Floats, _Floats], ...], ...]
    temperature: float

    def probability(self, features: _Floats) -> _Floats:
        """Class probabilities, (F, N) to (C, N) float32; a column per pixel, as rasters come."""
        out = np.empty((len(self.layers[0][-1][1]), features.shape[1]), dtype=np.float32)
        for start in range(0, features.shape[1], _CHUNK_PX):
            out[:, start : start + _CHUNK_PX] = self._chunk(features[:, start : start + _CHUNK_PX])
        return out

    def _chunk(self, features: _Floats) -> _Floats:
        scaled: _Floats = (features - self.mean[:, None]) / self.scale[:, None]
        np.clip(scaled, -_FARTHEST_SD, _FARTHEST_SD, out=scaled)
        total = np.zeros((len(self.layers[0][-1][1]), features.shape[1]), dtype=np.float32)
        for member in self.layers:
            signal: _Floats = scaled
            for weights, bias in member[:-1]:
                signal = np.matmul(weights.T, signal, dtype=np.float32)
                signal += bias[:, None]
                np.maximum(signal, 0, out=signal)
            weights, bias = member[-1]
            total += _softmax(np.matmul(weights.T, signal, dtype=np.float32) + bias[:, None])
        total /= len(self.layers)
        return total if self.temperature == 1.0 else _sharpen(total, self.temperature)


def fit_network(
    features: _Floats,
    classes: NDArray[np.uint8],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
    seed: int,
    *,
    calibrate: bool = True,
) -> CoverNetwork:
    """Fit the ensemble and calibrate its confidence on blocks of land held out.

    Args:
        features: (N, F) finite.
        classes: (N,) at least two different ids; output columns follow their ascending order.
        weights: (N,) pixels that each stands for.
        groups: (N,) block of land of each pixel.
        seed: of initial weights, batches and the held-out blocks.
        calibrate: without it the fit takes half the time; classes are the same, only their confidence is not.
    """
    temperature = 1.0
    if calibrate and len(np.unique(groups)) >= _MIN_CALIBRATION_GROUPS:
        train, held = blocked_folds(classes, groups, _CALIBRATION_FOLDS, seed)[0]
        known = np.unique(classes[train])
        held = held[np.isin(classes[held], known)]
        if len(known) > 1 and len(held):
            draft = _fit(features[train], classes[train], weights[train], seed)
            truth = np.searchsorted(known, classes[held])
            temperature = _best_temperature(draft.probability(features[held].T), truth, weights[held])
    return _fit(features, classes, weights, seed, temperature)


def _fit(
    features: _Floats, classes: NDArray[np.uint8], weights: NDArray[np.float64], seed: int, temperature: float = 1.0
) -> CoverNetwork:
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    scaled = np.clip((features - mean) / scale, -_FARTHEST_SD, _FARTHEST_SD)
    epochs = int(np.clip(_STEPS * _BATCH / len(features), *_EPOCHS))
    members = []
    for member in range(_MEMBERS):
        network = MLPClassifier(
            _HIDDEN,
            alpha=_ALPHA,
            batch_size=min(_BATCH, len(features)),
            learning_rate_init=_RATE,
            max_iter=epochs,
            random_state=seed * _MEMBERS + member,
        )
        with warnings.catch_warnings():
            # The number of passes is fixed on purpose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(scaled, classes, sample_weight=weights / weights.mean())
        members.append(_layers(network))
    return CoverNetwork(mean.astype(np.float32), scale.astype(np.float32), tuple(members), temperature)


def _layers(network: MLPClassifier) -> tuple[tuple[_Floats, _Floats], ...]:
    """Layers as float32; the one logistic output of two classes becomes two columns."""
    layers = [
        (w.astype(np.float32), b.astype(np.float32)) for w, b in zip(network.coefs_, network.intercepts_, strict=True)
    ]
    weights, bias = layers[-1]
    if len(bias) == 1:
        layers[-1] = (np.hstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2]))
    return tuple(layers)


def _softmax(values: _Floats) -> _Floats:
    """Over the classes, (C, N)."""
    powers = np.exp(values - values.max(0))
    powers /= powers.sum(0)
    return powers


def _sharpen(probability: _Floats, temperature: float) -> _Floats:
    powers = np.maximum(probability, np.float32(1e-7)) ** np.float32(1.0 / temperature)
    return powers / powers.sum(0)


def _best_temperature(probability: _Floats, truth: NDArray[np.intp], weights: NDArray[np.float64]) -> float:
    """Temperature with the smallest weighted log loss."""
    columns = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        sharp = _sharpen(probability, float(np.exp(log_temperature)))
        return float(-(weights * np.log(np.maximum(sharp[truth, columns], 1e-7))).sum() / weights.sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.5), np.log(4.0)), method="bounded").x))
