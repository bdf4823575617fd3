"""The report of trials of one's own speaks of them, and of no network."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

import pipeline
from analysis import load_store
from analysis.figures import kinds_for
from analysis.report import report_page
from analysis.report.diagram import diagram_of
from analysis.study import Study
from analysis.success import Success
from jobs.cli import main

from .reading import read

CODE = """
from pipeline import experiment, variable

@experiment(ok=variable("whether it is found"))
def found(trial):
    return {"ok": trial.k + trial.seed % 2 > 4}
"""


AT_LEVELS = """
from pipeline import experiment, variable

@experiment(ok=variable("whether it is found", dims=("level",), coords={"level": [1, 2]}))
def found(trial):
    return {"ok": [trial.k + trial.seed % 2 > 4 + level for level in (0, 1)]}
"""


def test_a_success_with_an_axis_of_its_own_has_its_figures_and_a_slider(tmp_path: Path) -> None:
    """No variable of the store is one number a trial: each has a value at every level."""
    (tmp_path / "search.py").write_text(AT_LEVELS)
    (tmp_path / "search.toml").write_text(
        'name = "search"\nexperiment = "search.py:found"\nwidth = [2, 3, 4, 5, 6, 7]\nseeds = 6\n'
    )
    pipeline.run(pipeline.load_sweep(tmp_path / "search.toml"), tmp_path / "search.zarr")
    study = Study(load_store(tmp_path / "search.zarr"), Success(condition="ok"))
    assert kinds_for(study.ds, study.success) == ["phase", "laws"]
    diagram = diagram_of(study)
    assert [(slider.dim, slider.numbers) for slider in diagram.sliders] == [("level", [1.0, 2.0])]
    (panel,) = diagram.panels
    wins = [[won for won, _ in panel.pairs(frame, 0)] for frame in range(diagram.frames)]
    assert wins == [[0, 0, 3, 6, 6, 6], [0, 0, 0, 3, 6, 6]]
    assert "level" in read(report_page({"search.zarr": study})).text
    told = CliRunner().invoke(
        main, ["plot", str(tmp_path / "search.zarr"), "-o", str(tmp_path / "a.png")]
    )
    assert told.exit_code == 2
    assert "define a success with --success, or `widthlaw query` lists its trials" in told.stderr


def test_a_page_on_trials_of_ones_own_alone_speaks_of_no_network(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text(CODE)
    (tmp_path / "search.toml").write_text(
        'name = "search"\nexperiment = "search.py:found"\nwidth = [2, 3, 4, 5, 6]\nseeds = 6\n'
    )
    pipeline.run(pipeline.load_sweep(tmp_path / "search.toml"), tmp_path / "search.zarr")
    study = Study(load_store(tmp_path / "search.zarr"), Success(condition="ok"))
    html = read(report_page({"search.zarr": study}))
    assert html.all("h1")[0].text == "Where do the trials succeed?"
    assert html.all("title")[0].text == "Where do the trials succeed? search"
    assert "the trials of search.py:found" in html.all("p", class_="about")[0].text
    answer = html.all("div", id="answer")[0].text
    assert "search: half of the trials succeed from" in answer
    assert "on, in 1 of 1 cells" in answer
    for word in ("hidden unit", "network", "Oymak"):
        assert word not in html.text
