import numpy as np
import pytest
from scipy.stats import chi2

from src.errors import InputError
from src.geo.change.irmad import calibration_factor, chi_square, fit_irmad, mad_variates

BANDS, PIXELS = 6, 40_000


def pair(changed_share: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Two dates of one correlated scene with noise; the first pixels of the second date are drawn anew."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(BANDS, BANDS))
    ground = mixing @ rng.normal(size=(BANDS, PIXELS))
    x, y = (ground + 0.1 * rng.normal(size=ground.shape) for _ in range(2))
    changed = int(changed_share * PIXELS)
    y[:, :changed] = mixing @ rng.normal(size=(BANDS, changed))
    return x, y, changed


def test_invariant_to_gain_and_offset():
    x, y, _ = pair(0.05)
    moved = 0.8 * y + 0.05
    z, again = chi_square(fit_irmad(x, y), x, y), chi_square(fit_irmad(x, moved), x, moved)
    assert np.abs(again / z - 1).max() < 1e-9


def test_invariant_to_each_bands_own_gain_and_to_constant_bands():
    x, y, _ = pair()
    gains = np.array([0.5, 2.0, 10.0, 1e-4, 1e4, -3.0])[:, None]
    z, again = chi_square(fit_irmad(x, y), x, y), chi_square(fit_irmad(gains * x, y), gains * x, y)
    np.testing.assert_allclose(again, z, rtol=1e-7)
    x[2] = 7.0
    assert np.isfinite(chi_square(fit_irmad(x, y), x, y)).all()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_unchanged_pixels_pass_the_limit_as_rarely_as_chi_square_says(share):
    """Without calibration 12.6 % of them passed the 0.1 % limit."""
    x, y, changed = pair(share)
    model = fit_irmad(x, y)
    beyond = chi_square(model, x, y) > chi2.isf(0.001, BANDS)
    assert model.converged
    assert beyond[changed:].mean() <= 0.003
    assert changed == 0 or beyond[:changed].mean() > 0.999


def test_variates_have_unit_variance_and_sum_to_z():
    x, y, _ = pair()
    model = fit_irmad(x, y)
    variates = mad_variates(model, x, y)
    np.testing.assert_allclose(variates.std(axis=1), 1.0, atol=0.05)
    np.testing.assert_allclose(np.square(variates).sum(axis=0), chi_square(model, x, y))


def test_float32_agrees_with_float64():
    x, y, _ = pair(0.05)
    model = fit_irmad(x, y)
    single = chi_square(model, x.astype(np.float32), y.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, chi_square(model, x, y), rtol=1e-3, atol=1e-3)


def test_correlations_start_from_the_plain_ones():
    """Plain canonical correlations are the singular values of the whitened cross-covariance; weighting raises them."""
    x, y, _ = pair()
    whiten = [np.linalg.inv(np.linalg.cholesky(np.cov(values))) for values in (x, y)]
    cross = np.cov(np.concatenate([x, y]))[:BANDS, BANDS:]
    expected = np.sort(np.linalg.svd(whiten[0] @ cross @ whiten[1].T)[1])
    assert (fit_irmad(x, y).rho >= expected - 1e-3).all()


def test_calibration_finds_the_median_of_the_unchanged():
    rng = np.random.default_rng(1)
    unchanged = 2.3 * rng.chisquare(BANDS, 60_000)
    mixed = np.concatenate([unchanged, np.full(40_000, 1e4)])
    assert calibration_factor(mixed, BANDS) == pytest.approx(2.3, rel=0.02)
    assert calibration_factor(np.zeros(100), BANDS) > 0


@pytest.mark.parametrize(("shape", "text"), [((2, 1000), "3 bands"), ((6, 50), "at least 120")])
def test_refuses_what_it_cannot_fit(shape, text):
    values = np.random.default_rng(0).normal(size=shape)
    with pytest.raises(InputError, match=text):
        fit_irmad(values, values)
