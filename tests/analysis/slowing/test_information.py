"""What trials are expected to tell: outcomes are those of the model, and more trials tell more."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.slowing.cells import near, restricted, trials_of
from analysis.slowing.fitting import S
from analysis.slowing.information import Outlook, outlook_of, with_widths
from analysis.slowing.likelihood import standardised

from .simulation import BUDGET, THRESHOLD, store


@pytest.fixture(scope="module")
def outlook() -> Outlook:
    trials = trials_of(store("diverging", np.random.default_rng(1)))[0][1]
    part = with_widths(restricted(trials, near(trials)), np.log([13.0, 21.0]))
    found = outlook_of(part, threshold=True)
    assert found.best.theta[S] > 0.1
    return found


def test_drawn_times_are_the_inverse_of_what_the_likelihood_takes(outlook: Outlook) -> None:
    log_k = np.log([[22.0, 28.0, 40.0]])
    z, e = np.array([[-1.0], [0.5]]), np.array([[0.3, -1.2, 0.0], [1.0, -0.4, 2.0]])
    times = outlook._times(log_k, z, e)
    assert np.isfinite(times).any()
    above = log_k - outlook.trials.log_k.min()
    again = standardised(outlook.best.theta, above, times, z)
    np.testing.assert_allclose(again[np.isfinite(times)], e[np.isfinite(times)], atol=1e-6)


def test_new_seeds_narrow_the_threshold_and_most_of_them_near_it(outlook: Outlook) -> None:
    now = outlook.variance()
    close, far = (outlook.of_seed(np.log([k]), np.log(5 * BUDGET)) for k in (1.1 * THRESHOLD, 40.0))
    assert outlook.variance(close.information) < outlook.variance(far.information) < now
    assert outlook.variance(10 * close.information) < outlook.variance(close.information)
    assert close.steps[0] > far.steps[0]


def test_a_trial_far_below_the_threshold_hardly_ever_arrives(outlook: Outlook) -> None:
    assert outlook.of_seed(np.log([13.0]), np.log(BUDGET)).arrives[0] < 0.05
    assert outlook.of_seed(np.log([40.0]), np.log(BUDGET)).arrives[0] > 0.95


def test_a_censored_trial_tells_more_the_longer_it_goes_on(outlook: Outlook) -> None:
    trials = outlook.trials
    seed, column = np.argwhere(trials.counted & ~trials.arrived & (trials.log_k > np.log(16)))[0]
    told = [outlook.of_longer(seed, column, np.log(5 * BUDGET * more)) for more in (1.0001, 2, 8)]
    left = [outlook.variance(one.information) for one in told]
    assert left[0] == pytest.approx(outlook.variance(), rel=1e-3)
    assert left[2] < left[1] < left[0]
    assert told[2].arrives[0] >= told[1].arrives[0]
