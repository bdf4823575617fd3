"""A law is one line of the register: it is then fitted, ranked, named in verdicts and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures.widths.transition import laws_figure
from analysis.scaling import distinguishable, fit_laws
from analysis.scaling import laws as register
from analysis.study import Study

from .test_ranking import D, N, widths


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Critical widths that follow n^1.5, and this law in the register."""
    law = register._law("C n^1.5", n=1.5)
    monkeypatch.setitem(register.LAWS, "n^1.5", law)
    noise = np.exp(0.01 * np.random.default_rng(1).standard_normal((len(D), len(N))))
    return 0.2 * N[None, :] ** 1.5 * noise


def test_an_added_law_is_ranked_and_named(added: np.ndarray) -> None:
    laws = fit_laws(widths(added))
    assert laws.iloc[0]["law"] == "n^1.5"
    assert laws.iloc[0]["constant"] == pytest.approx(0.2, rel=0.02)
    assert not laws.iloc[0]["is_free"]
    assert "n^1.5" in distinguishable(laws)


def test_an_added_law_is_drawn(added: np.ndarray) -> None:
    cells = widths(added).assign_attrs(rule="sigma_min/sqrt(k) >= 0.5 alpha")
    cells["k_edge_finite"] = cells.k50 * np.nan
    study = Study(cells)
    vars(study)["widths"] = cells
    figure = laws_figure(study)
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    labels = [text.get_text() for legend in filter(None, legends) for text in legend.get_texts()]
    assert any("n^{1.5}" in label for label in labels), labels
