"""The page says what the stores say, holds together, and takes no word for anything but a word."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import re
import zipfile

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis import critical_widths, load_store
from analysis.figures import FIGURES, kinds_for
from analysis.report import report_page, write_report
from analysis.report.drawing import svg_of
from analysis.signs import signs
from analysis.study import Study
from analysis.success import Success
from pipeline.errors import InputError
from pipeline.printable import printable
from pipeline.trial_status import Status

from .conftest import IMAGE, QUOTES, SCRIPT, TURNED
from .reading import read


@pytest.fixture(scope="module")
def html(page):
    return read(page)


def changed(study: Study, *statuses: Status, **attrs) -> Study:
    """A study in which trials have other statuses, seed by seed in turn."""
    ds = study.ds
    which = xr.zeros_like(ds.status) + np.array(statuses, "int8")[ds.seed.values % len(statuses)]
    return Study(ds.assign(status=which).assign_attrs(attrs))


def test_equal_stores_give_equal_bytes(hostile) -> None:
    first, second = (report_page({"x.zarr": Study(hostile.copy(deep=True))}) for _ in range(2))
    assert first.encode() == second.encode()


def test_names_are_of_one_element_and_references_lead_somewhere(page, html) -> None:
    everything = html.all("")
    names = [element.attributes["id"] for element in everything if "id" in element.attributes]
    assert len(names) == len(set(names))
    targets = [
        name
        for element in everything
        for attribute in ("aria-labelledby", "aria-describedby", "for")
        for name in element.attributes.get(attribute, "").split()
    ]
    targets += re.findall(r"""(?:href="#|url\(#)([^")]+)""", page)
    assert targets
    assert set(targets) <= set(names)


def test_the_page_asks_for_nothing(html) -> None:
    for element in html.all(""):
        assert element.tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert "src" not in element.attributes
        assert element.attributes.get("href", "#").startswith(("#", "data:application/zip;base64,"))
    policy = html.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    for style in (element.text for element in html.all("style")):
        assert "url(" not in style
        assert "@import" not in style


def test_words_of_a_store_stay_words(page, html) -> None:
    assert not html.all("img")
    assert not [e for e in html.all("") if any(name.startswith("on") for name in e.attributes)]
    scripts = html.all("script")
    data = [script for script in scripts if script.attributes.get("type") == "application/json"]
    assert len(data) == 3
    assert len(scripts) == len(data) + 1
    assert all(isinstance(json.loads(script.text), dict) for script in data)
    for words in (IMAGE, SCRIPT, QUOTES, printable(TURNED)):
        assert words in html.text
    assert printable(page) == page  # no control character, and nothing that turns text around
    assert "49" not in html.all("p", class_="question")[-1].text  # 7 * 7, had it been a template


def test_headings_go_down_by_one_and_tables_have_captions_and_scopes(html) -> None:
    levels = [int(e.tag[1]) for e in html.all("") if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in html.all("table"):
        assert table.all("caption")[0].text.strip()
        assert table.all("th")
        assert all(cell.attributes.get("scope") in ("row", "col") for cell in table.all("th"))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(html.all(landmark)) == 1
    for picture in html.all("svg", role="img"):
        assert picture.all("title")[0].text
        assert len(picture.all("desc")[0].text) > 20


def cells_of(panel) -> list[list]:
    """The tiles of a panel by column and width; its rows stand from the widest down."""
    rows = [row.all("rect") for row in panel.all("g", role="row")][::-1]
    return [list(column) for column in zip(*rows, strict=True)]


def rows_of(html, heading: str) -> list[tuple[str, list[str]]]:
    """The ids and cells of the rows of the tables below a heading."""
    (section,) = html.all("section", aria_labelledby=heading)
    lines = [line for table in section.all("table") for line in table.all("tbody")[0].all("tr")]
    return [(line.attributes["id"], [cell.text.strip() for cell in line.inside]) for line in lines]


def test_the_page_starts_with_the_answer_then_claims_then_findings_then_stores(html, studies) -> None:
    from analysis.claims import claims
    from analysis.claims.answer import answer

    (header,) = html.all("header")
    assert header.inside[1].tag == "h1"
    told = [p.text for p in html.all("div", id="answer")[0].all("p")]
    expected = answer(list(claims(studies.values())))
    assert len(told) == len(expected) == 2  # the output layer was not run
    for sentence, words in zip(told, expected, strict=True):
        assert re.findall(r"\d+\.\d+", sentence) == re.findall(r"\d+\.\d+", words)
    headings = [heading.attributes["id"] for heading in html.all("h2")]
    assert headings == ["notation", "words", "verdicts", "findings", "s1", "s2", "s3"]


def test_claims_and_findings_stand_apart_and_each_of_them_once(html, studies) -> None:
    from analysis.claims import claims

    rows = list(claims(studies.values()))
    claimed, found = rows_of(html, "verdicts"), rows_of(html, "findings")
    own = list(dict.fromkeys(row.subject for row in rows if row.of_paper))
    others = list(dict.fromkeys(row.subject for row in rows if not row.of_paper))
    assert (len(claimed), len(found)) == (len(own), len(others)) == (1, 1)
    assert [name for name, _ in claimed + found] == ["row-1", "row-2"]
    for (_, cells), row in zip(claimed, [row for row in rows if row.of_paper], strict=True):
        assert re.findall(r"\d\d+", cells[2])[:1] == re.findall(r"\d\d+", row.measured)[:1]
        assert {"finding": "◦", "loose": "≫", "departs": "≠"}[row.mark] in cells[3]
    words = html.all("main")[0].text
    assert words.count("is sufficient (constant 1)") == 1
    for n in (8, 16):
        assert words.count(f"(d=4, n={n})") == 1
    listed = [line.text for line in html.all("section", aria_labelledby="findings")[0].all("li")]
    assert len(listed) == sum(not row.of_paper for row in rows) == 2


def test_every_kind_of_verdict_and_every_claim_has_its_criterion(html, studies) -> None:
    from analysis.claims import CRITERIA, WORDS, claims

    (words,) = html.all("section", aria_labelledby="words")
    shown = {
        e.inside[0].text.strip().split(" ", 1)[1]: e.inside[1].text for e in words.all("dl")[0].inside
    }
    assert shown.keys() == set(WORDS.values())
    assert all(len(text) > 30 for text in shown.values())
    assert shown[WORDS["holds"]] == CRITERIA["holds"]
    text = " ".join(html.text.split())
    for row in claims(studies.values()):
        if row.of_paper:
            assert f"Criterion: {signs(row.criterion)}." in text.replace("k*", "k*")


def test_symbols_are_defined_before_they_are_used_in_a_table(page, html) -> None:
    (notation,) = html.all("dl", class_="symbols")
    defined = " ".join(line.inside[0].text for line in notation.inside)
    for symbol in ("n, d", "k", "α", "Φ", "L", "σmin", "k*", "θ", "β", "W, v"):
        assert symbol in defined
    assert page.index('class="symbols"') < page.index("<table")


def test_figures_are_numbered_and_what_refers_to_a_figure_or_a_row_finds_it(html) -> None:
    shown = [
        int(found)
        for e in html.all("")
        if e.tag in ("figcaption", "h3")
        for found in re.findall(r"^Figure (\d+),", e.text)
    ]
    assert shown == list(range(1, len(shown) + 1))
    places = {e.attributes["id"]: e for e in html.all("") if "id" in e.attributes}
    links = [a for a in html.all("a") if re.search("-figure-|row-", a.attributes["href"])]
    assert {"#row-1", "#row-2", "#s1-figure-phase"} <= {link.attributes["href"] for link in links}
    for link in links:
        number, place = re.search(r"\d+", link.text).group(), places[link.attributes["href"][1:]]
        is_row = place.tag == "tr"
        assert place.inside[0].text == number if is_row else f"Figure {number}," in place.text
    (claim,) = [cells for _, cells in rows_of(html, "verdicts")]
    assert claim[-1].startswith("Figure ")


def downloads(html) -> dict[str, list[dict[str, str]]]:
    """The rows of every CSV of a page, by its name."""
    found = {}
    for link in html.all("a", class_="data"):
        packed = base64.b64decode(link.attributes["href"].partition(",")[2])
        archive = zipfile.ZipFile(io.BytesIO(packed))
        (name,) = archive.namelist()
        assert link.attributes["download"] == f"{name}.zip"
        found[name] = list(csv.DictReader(io.StringIO(archive.read(name).decode())))
        assert f"{len(found[name])} row" in link.text.replace("\u202f", "")
    return found


def test_every_figure_has_its_data_and_they_are_those_of_the_store(html, studies) -> None:
    section = next(e for e in html.all("section") if e.attributes["aria-labelledby"] == "s1")
    tables = downloads(section)
    assert len(tables) == len(section.all("svg", role="img")) + 1  # and the phase diagram
    study = studies["theorem2.zarr"]
    counts = study.counts.squeeze("d")
    rows = iter(tables["theorem2-phase.csv"])
    for n in study.ds.n.values:
        for w in study.ds.width.values:
            row, cell = next(rows), counts.sel(n=n, width=w)
            assert (int(row["n"]), int(row["k"])) == (n, int(study.ds.k.sel(n=n, width=w)))
            assert int(row["successes"]) == int(cell.successes)
            assert int(row["trials"]) == int(cell.trials)
    assert next(rows, None) is None
    laws = [row for row in tables["theorem2-laws.csv"] if row["series"].startswith("measured")]
    widths = study.widths.squeeze("d")
    for row, n in zip(laws, (8, 16), strict=False):
        cell = widths.sel(n=n)
        for column, name in (("y", "k50"), ("y_low", "k50_low"), ("y_high", "k50_high")):
            assert float(row[column]) == pytest.approx(float(cell[name]), rel=1e-3)


@pytest.mark.slow
def test_figures_take_less_than_half_of_the_bytes_of_their_files(html, page, studies) -> None:
    """The page of the paper has 29 of them and stays below 1.5 MB; their files have 2.8 MB."""
    pictures = re.findall(r'<svg role="img".*?</svg>', page, re.DOTALL)
    figures = [
        FIGURES[kind].draw(study)
        for study in studies.values()
        for kind in kinds_for(study.ds)
        if kind != "phase"
    ]
    for figure in figures:
        figure.set_layout_engine("none")  # it moves the panels, and takes most of the time
    files = [svg_of(figure) for figure in figures if not figure.sentence]
    own = pictures[: len(files)]
    assert sum(map(len, own)) < 0.45 * sum(map(len, files))
    assert all(2 * len(short) < len(svg) + 3000 for short, svg in zip(own, files, strict=True))


def test_the_data_of_a_phase_diagram_has_every_setting_of_its_sliders(html, studies) -> None:
    section = next(e for e in html.all("section") if e.attributes["aria-labelledby"] == "s2")
    ds = studies["descent.zarr"].ds
    rows = downloads(section)["descent-phase.csv"]
    assert len(rows) == 2 * 10 * ds.sizes["d"] * ds.sizes["n"] * ds.sizes["width"]
    for row in rows:
        d, n, tolerance = int(row["panel"].removeprefix("d = ")), int(row["n"]), float(row["tolerance"])
        at = ds.sel({"d": d, "n": n, "tolerance": tolerance})
        at = at.isel(width=np.flatnonzero(at.k.values == int(row["k"])).item())
        met = (at.steps_to_tolerance <= float(row["budget"])) & (at.status == Status.DONE)
        assert int(row["successes"]) == int(met.sum())


def test_every_store_tells_its_sweep_its_origin_and_how_to_run_it_again(html, studies) -> None:
    sections = [e for e in html.all("section") if e.attributes.get("class") == "store"]
    for section, (path, study) in zip(sections, studies.items(), strict=False):
        attrs = study.ds.attrs
        shown = [pre.text for pre in section.all("pre")]
        assert shown[0].split()[:2] == ["widthlaw", "run"]
        assert path in shown[0]
        assert shown[1] == attrs["sweep"]
        origin = section.all("dl")[0].text
        for word in (attrs["identity"], attrs["provenance"]["created"], attrs["provenance"]["python"]):
            assert word in origin
        assert f"widthlaw {attrs['provenance']['packages']['widthlaw']}" in html.all("header")[0].text
        assert f"numpy {attrs['provenance']['packages']['numpy']}" in origin


def test_counts_and_critical_widths_of_every_frame_are_those_of_the_store(html, studies) -> None:
    ds = studies["descent.zarr"].ds
    box = html.all("div", class_="phase")[1]
    data = json.loads(box.all("script")[0].text)
    tolerances = [float(word) for word in data["sliders"][0]["values"]]
    budgets = [int(re.sub(r"\D", "", word)) for word in data["sliders"][1]["values"]]
    assert tolerances == [0.1, 0.01]
    assert budgets[-1] == 3000
    assert len(budgets) == 10
    met = ds.steps_to_tolerance
    for frame in range(20):
        t, b = divmod(frame, 10)
        won = (met.isel(tolerance=t) <= budgets[b]) & (ds.status == Status.DONE)
        for p in range(2):
            for c in range(2):
                texts = [data["looks"][at][1] for at in data["counts"][frame][p][c]]
                expected = won.isel(d=p, n=c).sum("seed").values
                assert [int(words.split(" of ")[0]) for words in texts] == expected.tolist()
                assert all(" of 6 succeed" in words for words in texts)
    for b in (5, 9):
        widths = critical_widths(ds, budgets=[budgets[b]]).isel(budget=0)
        for t in (0, 1):
            rows = iter(data["rows"][t * 10 + b])
            for p in range(2):
                for c in range(2):
                    row, cell = next(rows), widths.isel(d=p, n=c, tolerance=t)
                    assert row[1] == cell.outcome.item()
                    if row[1] in ("fitted", "separated"):
                        k = float(row[0].split(" [")[0])
                        assert k == pytest.approx(float(cell.k50), rel=6e-3)
                    else:
                        assert row[0] == "–"


def test_without_a_script_the_page_shows_the_last_frame(html) -> None:
    for box in html.all("div", class_="phase"):
        data = json.loads(box.all("script")[0].text)
        panels = box.all("figure", class_="panel")
        for panel, counts in zip(panels, data["counts"][-1], strict=True):
            for column, looks in zip(cells_of(panel), counts, strict=True):
                for cell, look in zip(column, looks, strict=True):
                    fill, words = data["looks"][look]
                    assert cell.attributes["fill"] == fill
                    assert cell.text.endswith(words)
        lines = box.all("tbody")[0].all("tr")
        shown = [[cell.text for cell in line.inside if "moving" in cell.attributes.get("class", "")]
                 for line in lines]  # fmt: skip
        assert shown == data["rows"][-1]


def test_the_page_says_how_its_intervals_were_made(html, studies) -> None:
    method = studies["theorem2.zarr"].widths.attrs["interval_method"]
    assert method.replace("k50", "k*") in " ".join(html.all("footer")[0].text.split())


def test_a_given_success_applies_to_the_sections_and_not_to_the_claims(studies, html) -> None:
    study = Study(studies["theorem2.zarr"].ds, Success(threshold=0.3))
    other = read(report_page({"theorem2.zarr": study}))
    assert "0.3 α" in other.all("div", class_="phase")[0].text
    for phrase in ("over that of the edge", "is sufficient (constant 1)", "(d=4, n=16)"):
        lines = [{e.text for e in page.all("tr") if phrase in e.text} for page in (html, other)]
        assert lines[0]
        assert lines[0] == lines[1]
    with pytest.raises(InputError, match="threshold"):
        report_page({"d": Study(studies["descent.zarr"].ds, Success(threshold=0.3))})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ((Status.DONE, Status.PENDING), "Not finished"),
        ((Status.PENDING,), "No trial is done"),
        ((Status.FAILED,), "failed"),
        ((Status.DIVERGED,), "diverged"),
    ],
)
@pytest.mark.parametrize("store", ["theorem2.zarr", "descent.zarr"])
def test_a_store_that_is_not_done_says_so(studies, store, statuses, said) -> None:
    study = changed(studies[store], *statuses)
    html = read(report_page({store: study}))
    section = next(e for e in html.all("section") if e.attributes.get("class") == "store")
    assert said in section.text
    assert "nan" not in re.sub(r"[^a-z]", " ", section.text).split()
    drawn = bool(section.all("svg", role="img"))
    assert drawn == (Status.DONE in statuses)


def test_a_store_of_no_known_experiment_has_numbers_and_no_verdicts(studies) -> None:
    ds = studies["theorem2.zarr"].ds
    html = read(report_page({"x": Study(ds.assign_attrs(experiment="other", name="mine", sweep=""))}))
    assert not html.all("section", aria_labelledby="verdicts")
    assert html.all("div", class_="phase")
    (told,) = html.all("div", id="answer")
    widths = sorted(studies["theorem2.zarr"].widths.k50.values.ravel())
    numbers = re.findall(r"(\d+(?:\.\d+)?) \[", told.text)
    assert [float(found) for found in numbers] == pytest.approx(widths, rel=6e-3)
    assert "in 2 of 2 cells" in told.text
    bare = ds[["status", "k", "seconds"]].assign_attrs(experiment="other", name="bare", provenance=None)
    html = read(report_page({"x": Study(bare)}))
    assert not html.all("div", class_="phase")
    assert "400 trials" in html.text


def test_a_page_appears_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    file = tmp_path / "new" / "report.html"
    write_report("first", file)
    assert file.read_text() == "first"

    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", broken)
        with pytest.raises(OSError, match="gone"):
            write_report("second", file)
    assert file.read_text() == "first"
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]


def test_a_cell_whose_alpha_is_0_is_listed_as_degenerate(make_sweep, tmp_path) -> None:
    keys = {"dataset": "{ kind = 'circle' }", "n": "[7, 8]", "d": "[2]", "seeds": 3}
    pipeline.run(make_sweep(**keys), tmp_path / "circle.zarr")
    html = read(report_page({"circle.zarr": Study(load_store(tmp_path / "circle.zarr"))}))
    rows = [[c.text for c in line.inside] for line in html.all("table", class_="widths")[0].all("tr")]
    assert [(row[1], row[3]) for row in rows[1:]][1] == ("8", "degenerate")
    cells = html.all("g", role="grid")[0].all("rect")
    assert [cell.text.partition(": ")[2] for cell in cells if "n = 8" in cell.text] == ["alpha = 0"] * 3
    assert "α = 0" in html.all("ul", class_="legend")[0].text


def test_a_store_of_no_located_cell_says_so_once_and_draws_no_blank(make_sweep, tmp_path) -> None:
    keys = {"width": "{ k_per_n = [50.0, 60.0, 70.0] }", "n": "[6, 9]", "d": "[3]", "seeds": 6}
    pipeline.run(make_sweep(**keys), tmp_path / "wide.zarr")
    study = Study(load_store(tmp_path / "wide.zarr"))
    assert set(study.widths.outcome.values.ravel()) == {"censored"}
    html = read(report_page({"wide.zarr": study}))
    (note,) = html.all("p", class_="note")
    assert note.text == (
        "No critical width is located. 2 cells, all censored: k* lies below the widths in 2 of 2 "
        "cells. There is no law to fit or to draw. widthlaw extend wide.zarr --width 25 adds a smaller "
        "width."
    )
    assert "small: no critical width is located: k* lies below" in html.all("div", id="answer")[0].text
    assert "Scaling laws" not in html.text
    assert not html.all("svg", role="img")
    legend = html.all("ul", class_="legend")[0].text
    assert "k*" not in legend
    assert "predicted" not in legend


def test_a_cell_of_which_nothing_is_done_is_listed_as_pending(studies) -> None:
    ds = studies["theorem2.zarr"].ds
    waits = ds.status.where(ds.n != 16, Status.PENDING).transpose(*ds.status.dims).astype("int8")
    html = read(report_page({"theorem2.zarr": Study(ds.assign(status=waits))}))
    rows = [[c.text for c in line.inside] for line in html.all("table", class_="widths")[0].all("tr")]
    assert [(row[1], row[3] == "pending") for row in rows[1:]] == [("8", False), ("16", True)]
    assert "not yet run" in html.all("ul", class_="legend")[0].text


def test_a_whisker_stays_in_the_cells_and_an_open_interval_has_none(studies) -> None:
    from analysis.report.diagram import diagram_of

    study = studies["theorem2.zarr"]
    n = study.widths.n
    widths = study.widths.assign(
        k50_low=study.widths.k50_low.where(n == 8, 1e-3),
        k50_high=study.widths.k50_high.where(n == 16, np.inf).where(n == 8, 1e9),
    )
    other = Study(study.ds)
    other.__dict__["widths"] = widths
    diagram = diagram_of(other)
    free, closed = diagram.marks(0)[0]
    assert len(free) == 1
    bands = diagram.panels[0].columns[1]["bands"]
    assert closed[1:] == [bands[0]["y"] + bands[0]["height"], bands[-1]["y"]]
    assert diagram.shows >= {"width", "open"}


@pytest.mark.parametrize(("p", "words"), [(np.nan, "–"), (0.31, "0.31"), (0.01, "0.01 fits badly")])
def test_a_curve_that_fits_badly_is_flagged_in_words(p, words, studies) -> None:
    from analysis.report.diagram import diagram_of

    study = Study(studies["theorem2.zarr"].ds)
    widths = study.widths
    study.__dict__["widths"] = widths.assign(fit_p=xr.full_like(widths.fit_p, p))
    assert [row[2] for row in diagram_of(study).rows(0)] == [words] * 2


def test_the_lead_of_a_store_has_intervals_its_condition_and_no_open_width(studies) -> None:
    from analysis.report.diagram import diagram_of

    study = Study(studies["descent.zarr"].ds)
    diagram = diagram_of(study)
    panel, last = diagram.panels[0], diagram.frames - 1
    for name, values in {
        "k50": [7.0, np.nan],
        "k50_low": [6.0, np.nan],
        "k50_high": [9.0, np.nan],
        "outcome": ["fitted", "censored"],
        "bracket_low": [6.0, 40.0],
    }.items():
        panel.values[name] = panel.values[name].astype(object)
        panel.values[name][last] = values
    del diagram.panels[1:]
    text = diagram.range_text(" hidden units")
    start = (
        "k* = 7.00 [6.00, 9.00] (d = 3, n = 24) hidden units on, in 1 of 2 cells, above the widths in 1"
    )
    assert text.startswith(start)
    assert "tolerance = 0.01" in text
    assert "budget = 3\u202f000 steps" in text
    panel.values["k50_high"][last, 0] = np.inf
    assert not diagram.range_text(" hidden units")
