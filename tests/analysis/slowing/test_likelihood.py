"""The compiled likelihood of the model of times, beside quadrature of the model as it is written."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr, logsumexp
from scipy.stats import norm

from analysis.slowing import sums
from analysis.slowing.fitting import BOUNDS
from analysis.slowing.likelihood import NODES, Trials, log_likelihood, posterior, standardised

THETA = np.array([6.4, 0.5, 0.4, -1.4, 0.04, -2.0, -1.5, 0.7])


@pytest.fixture
def trials():
    """Two seeds at four widths: one trial of each has not run, and three are censored."""
    log_k = np.log([[30.0, 40.0, 60.0, 100.0]] * 2)
    log_time = np.log([[3000.0, 2600.0, 1100.0, 800.0], [3000.0, 3000.0, 1900.0, 1000.0]])
    arrived = log_time < np.log(3000)
    counted = np.array([[True, True, False, True], [True, True, True, False]])
    return Trials(log_k, log_time, arrived, counted)


def written(theta: np.ndarray, above: float, log_time: float, z: float) -> float:
    """The residual, word by word as the model is written."""
    a, s, log_b, log_omega, kappa, log_sigma, log_rho, log_beta = map(mpmath.mpf, theta)
    sigma, rho, beta = mpmath.exp(log_sigma), mpmath.exp(log_rho), mpmath.exp(log_beta)
    x = mpmath.exp(beta * (kappa * mpmath.mpf(z) - above))
    late = log_time - a - mpmath.exp(log_omega) * z  # h + scatter

    def tau(q: mpmath.mpf) -> mpmath.mpf:
        return rho / sigma * (1 - q) / s - sigma * s * q / rho

    norm_ = mpmath.sqrt(rho**2 + sigma**2 * s**2)
    there, here = mpmath.exp(-s * late), 1 - s * mpmath.exp(log_b) * x
    return float((mpmath.asinh(tau(there)) - mpmath.asinh(tau(here))) / norm_)


def obvious(theta: np.ndarray, trials: Trials) -> float:
    """The log-likelihood by NumPy, over all of `NODES`, whose ends count as the others do."""
    a, s, _, log_omega, _, log_sigma, log_rho, _ = theta
    ratio = np.exp(log_rho - log_sigma)
    size, above = ratio**2 + s**2, trials.log_k - trials.log_k.min()
    at, z = trials.log_time[..., None], NODES
    exponent = np.clip(-s * (at - a - np.exp(log_omega) * z), -50, 50)
    tau = ratio / s - np.exp(exponent) * size / (ratio * s)
    late = standardised(theta, above[..., None], at, z)
    speed = exponent - np.log(np.hypot(1, tau)) + np.log(size) / 2 - log_rho
    score = np.where(trials.arrived[..., None], speed + norm.logpdf(late), log_ndtr(-late))
    whole = (score * trials.counted[..., None]).sum(axis=1) - z**2 / 2
    return float((logsumexp(whole, axis=1) - logsumexp(-(z**2) / 2)).sum())


def chance(theta: np.ndarray, trials: Trials, seed: int, z: float) -> float:
    """The chance of the trials of a seed given its z, from residuals and their differences."""
    whole, step = 1.0, 1e-5
    for width in np.flatnonzero(trials.counted[seed]):
        above = trials.log_k[seed, width] - trials.log_k.min()
        at = trials.log_time[seed, width]
        late = written(theta, above, at, z)
        if trials.arrived[seed, width]:
            ahead, behind = (written(theta, above, at + sign * step, z) for sign in (1, -1))
            whole *= norm.pdf(late) * (ahead - behind) / (2 * step)
        else:
            whole *= norm.sf(late)
    return whole


@pytest.mark.parametrize("s", [-0.3, 0.5, 1.2])
@pytest.mark.parametrize("log_time", [6.0, 6.9, 9.0])
def test_a_residual_is_that_of_the_model_as_it_is_written(s: float, log_time: float) -> None:
    theta = np.where(np.arange(8) == 1, s, THETA)
    for above, z in [(0.0, 0.0), (0.5, -2.0), (1.2, 1.5)]:
        found = standardised(theta, np.array(above), np.array(log_time), np.array(z))
        assert float(found) == pytest.approx(written(theta, above, log_time, z), rel=1e-10)


def test_anywhere_within_its_bounds_the_likelihood_is_that_of_the_obvious_path(trials) -> None:
    rng, low, high = np.random.default_rng(3), *BOUNDS.T
    for theta in low + (high - low) * rng.random((300, len(low))):
        assert log_likelihood(theta, trials)[0] == pytest.approx(obvious(theta, trials), rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("s", [-0.3, 0.5, 1.2])
def test_the_likelihood_is_that_of_quadrature(trials, s: float) -> None:
    theta, whole = np.where(np.arange(8) == 1, s, THETA), 0.0  # z beyond 4 counts as z = 4: 1e-4
    for seed in range(2):
        value, _ = quad(
            lambda z, seed=seed: norm.pdf(z) * chance(theta, trials, seed, z), -8, 8, limit=200
        )
        whole += np.log(value)
    assert log_likelihood(theta, trials)[0] == pytest.approx(whole, abs=3e-4)
    assert posterior(theta, trials)[1] == log_likelihood(theta, trials)[0]


def test_the_posterior_of_a_seed_is_its_chance_times_the_prior(trials) -> None:
    share, _ = posterior(THETA, trials)
    for seed in range(2):
        expected = [norm.pdf(z) * chance(THETA, trials, seed, z) for z in NODES[1:-1:8]]
        found = share[seed, 1:-1:8]
        np.testing.assert_allclose(found / found.sum(), expected / np.sum(expected), rtol=1e-6)


def test_a_seed_of_which_nothing_has_run_has_the_prior(trials) -> None:
    counted = trials.counted & [[True], [False]]
    share, _ = posterior(THETA, Trials(trials.log_k, trials.log_time, trials.arrived, counted))
    middle = share[1, 1:-1] / norm.pdf(NODES[1:-1])
    np.testing.assert_allclose(middle, middle[0], rtol=1e-12)


def test_the_logarithm_of_a_normal_probability_has_all_its_digits() -> None:
    x = np.concatenate([np.linspace(-60, 8, 1000), [-20.0, np.nextafter(-20, 0), -1.0, -1e5]])
    found = [sums._log_normal(one) for one in x]
    np.testing.assert_allclose(found, log_ndtr(x), rtol=1e-13)


def test_parameters_that_no_number_can_hold_are_impossible(trials) -> None:
    theta = np.where(np.arange(8) == 5, -800.0, THETA)
    value, scores = log_likelihood(theta, trials)
    assert value == -np.inf
    assert (scores == 0).all()
