"""`widthlaw query`: statistics, files, and the memory that a large store needs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner

import pipeline
from analysis import critical_widths, frames, open_store, select, summarise
from jobs.cli import main
from jobs.output.frames import split_list, write_rows
from pipeline import store
from pipeline.blocks import empty_result
from pipeline.execution.compute import compute_block
from pipeline.trial_status import Status


@pytest.fixture(scope="module")
def filled(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("queries") / "filled.zarr"
    pipeline.run(make_sweep(), path)
    return path


def ask(*line: object):
    return CliRunner().invoke(main, ["query", *map(str, line)])


RATIO = "sigma_min/sqrt(k)/alpha"
GROUPED = ("d == 5", "--columns", f"{RATIO},alpha", "--stat", "mean,quantile:0.1,count", "--by", "n,k")


def test_statistics_equal_those_of_the_analysis(filled) -> None:
    expected = summarise(
        open_store(filled), "d == 5", [RATIO, "alpha"], ["mean", "quantile:0.1", "count"], ["n", "k"]
    )
    result = ask(filled, *GROUPED, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == expected.to_dict("records")
    rows = pd.read_csv(io.StringIO(ask(filled, *GROUPED, "--csv").stdout))
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)


def test_text_has_a_row_for_each_group_and_column(filled) -> None:
    lines = ask(filled, *GROUPED).stdout.splitlines()
    assert lines[0].split() == ["n", "k", "column", "mean", "quantile:0.1", "count"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["6", "9", RATIO],
        ["6", "9", "alpha"],
        ["6", "12", RATIO],
    ]
    assert len(lines) == 1 + 2 * 3 * 2
    (one,) = ask(filled, "--stat", "max", "--columns", "alpha").stdout.splitlines()[1:]
    assert one.split() == ["alpha", f"{float(open_store(filled).alpha.max()):.6f}"]


def test_without_a_statistic_trials_are_counted(filled) -> None:
    result = ask(filled, "--by", "status,d", "--csv").stdout
    assert result == "status,d,trials\ndone,3,48\ndone,5,48\n"
    assert ask(filled, "--by", "d", "--limit", 1, "--csv").stdout == "d,trials\n3,48\n"


def test_a_repeated_option_adds_to_its_list(filled) -> None:
    apart = ("--by", "n", "--by", "d", "--columns", "alpha", "--columns", "edge", "--stat", "max")
    joined = ("--by", "n,d", "--columns", "alpha,edge", "--stat", "max,min")
    assert ask(filled, *apart, "--stat", "min", "--csv").stdout == ask(filled, *joined, "--csv").stdout
    columns = ("--columns", "edge", "--columns", "alpha", "--csv", "--limit", 1)
    assert ask(filled, *columns).stdout.startswith("d,n,width,seed,k,edge,alpha\n")


def test_columns_stand_in_the_order_asked(filled) -> None:
    head = ask(filled, "--columns", "sigma_min,n,k", "--csv", "--limit", 1).stdout.splitlines()[0]
    assert head == "d,width,seed,sigma_min,n,k"


def test_a_condition_may_start_with_a_minus_sign(filled) -> None:
    plain = ask(filled, "sigma_min > 0.5", "--csv")
    assert ask(filled, "-sigma_min < -0.5", "--csv").stdout == plain.stdout
    assert (
        ask(filled, "--csv", "--limit", 3, "-(sigma_min)<-0.5").stdout
        == ask(filled, "sigma_min > 0.5", "--csv", "--limit", 3).stdout
    )
    assert "No such option '--lmit'" in ask(filled, "--lmit", 3).stderr
    assert "No such option '-x'" in ask(filled, "-x").stderr


def test_rows_are_sorted_before_they_are_limited(filled) -> None:
    ds = open_store(filled)
    largest = np.sort(ds.sigma_min.values.ravel())[::-1]
    line = (filled, "--columns", "sigma_min", "--sort", "-sigma_min", "--json")
    assert [row["sigma_min"] for row in json.loads(ask(*line, "--limit", 5).stdout)] == [*largest[:5]]
    assert [row["sigma_min"] for row in json.loads(ask(*line).stdout)] == [*largest]
    by_two = select(ds, None, ["alpha"], order=["-n", "alpha"])
    expected = select(ds, None, ["alpha"]).sort_values(
        ["n", "alpha"], ascending=[False, True], kind="stable", ignore_index=True
    )
    pd.testing.assert_frame_equal(by_two, expected)
    small = pd.concat(frames(ds, None, ["alpha"], 7, 5, order=["-n", "alpha"]), ignore_index=True)
    pd.testing.assert_frame_equal(small, expected[:7])
    grouped = (filled, "--by", "n", "--stat", "mean", "--columns", "sigma_min", "--sort", "-mean")
    rows = json.loads(ask(*grouped, "--json").stdout)
    assert [row["n"] for row in rows] == [
        row["n"] for row in sorted(rows, key=lambda row: -row["mean(sigma_min)"])
    ]


def test_a_sum_adds_all_values(filled) -> None:
    (row,) = json.loads(ask(filled, "n == 6", "--stat", "sum", "--columns", "edge", "--json").stdout)
    total = float(open_store(filled).edge.sel(n=6).sum())
    assert row["sum(edge)"] == pytest.approx(total, rel=1e-14)


def test_statistics_say_over_what_they_are(filled, make_sweep, tmp_path) -> None:
    line = ("--stat", "mean", "--columns", "sigma_min", "--by")
    assert ask(filled, *line, "d,n,k").stderr == f"{filled}: statistics over seed (8 values)\n"
    assert ask(filled, *line, "d,n,k,seed").stderr == ""
    assert ask(filled, "d == 3", *line, "n,seed").stderr == (
        f"{filled}: statistics over width (3 values); this mixes different settings: --by width keeps "
        "them apart\n"
    )
    path = tmp_path / "two.zarr"
    pipeline.run(make_sweep(activation='["relu", "tanh"]', d="[3]", seeds=2), path)
    assert (
        "over activation (2 values), seed (2 values); this mixes different settings: --by act"
        in ask(path, *line, "n,k").stderr
    )
    assert "activation" not in ask(path, "activation == 'relu'", *line, "n,k").stderr


def test_excluded_trials_of_a_refined_store_are_told_apart(filled, tmp_path) -> None:
    path = tmp_path / "refined.zarr"
    subprocess.run(["cp", "-r", filled, path], check=True)
    status = zarr.open_array(path / "status")
    status[..., :2] = Status.NOT_REQUESTED
    status[..., 2:3] = Status.EXCLUDED
    result = ask(path, "status == 'excluded'", "--csv")
    assert result.stdout.count("excluded") == 12
    assert "24 trials were not requested" in result.stderr
    assert ask(path, "status == 'not_requested'", "--csv").stdout.count("not_requested") == 24


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
@pytest.mark.parametrize("more", [(), ("--by", "n", "--stat", "median", "--columns", "alpha")])
def test_a_file_has_the_printed_content(filled, tmp_path, ending, more) -> None:
    file = tmp_path / f"rows.{ending}"
    result = ask(filled, "n == 12", *more, "-o", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    assert list(file.parent.iterdir()) == [file]
    if ending == "parquet":
        ds = open_store(filled)
        expected = (
            summarise(ds, "n == 12", ["alpha"], ["median"], ["n"]) if more else select(ds, "n == 12")
        )
        pd.testing.assert_frame_equal(pd.read_parquet(file), expected, check_dtype=False)
    else:
        assert file.read_text() == ask(filled, "n == 12", *more, f"--{ending}").stdout


def test_whole_numbers_of_any_kind_stay_numbers_in_parquet(tmp_path) -> None:
    frame = pd.DataFrame({"a": np.array([2**64 - 1], "u8"), "b": np.array([7], "u1"), "c": [-1]})
    write_rows([frame], tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame, check_dtype=False)


@pytest.mark.parametrize(
    "more", [(), ("--by", "n,status", "--stat", "median,count", "--columns", "alpha")]
)
def test_an_empty_result_is_a_result(filled, tmp_path, more) -> None:
    whole = ask(filled, *more, "--csv").stdout
    line = (filled, "n > 100", *more)
    assert ask(*line).stdout == "(no trial)\n"
    assert ask(*line, "--csv").stdout == whole.splitlines()[0] + "\n"
    assert ask(*line, "--json").stdout == "[]\n"
    for condition in ("n > 100", "n > 1"):
        file = tmp_path / f"{condition[4:]}.parquet"
        assert ask(filled, condition, *more, "-o", file).exit_code == 0
    none, some = pq.read_table(tmp_path / "100.parquet"), pq.read_table(tmp_path / "1.parquet")
    assert none.num_rows == 0 < some.num_rows
    assert none.schema.equals(some.schema)


def test_an_existing_file_survives_a_failure(filled, tmp_path) -> None:
    damaged, file = tmp_path / "damaged.zarr", tmp_path / "rows.csv"
    subprocess.run(["cp", "-r", filled, damaged], check=True)
    chunk = next(path for path in sorted((damaged / "sigma_min" / "c").rglob("*")) if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-5] + b"wrong")
    file.write_text("before")
    result = ask(damaged, "-o", file, "--overwrite")
    assert result.exit_code == 1
    assert file.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"damaged.zarr", "rows.csv"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            ("-o", "{tmp}/rows.xlsx"),
            "unknown ending; expected one of .csv, .json, .parquet",
        ),
        (("-o", "{tmp}/folder.csv"), "is a folder"),
        (("-o", "{tmp}/file/rows.csv"), "cannot be written"),
        (
            ("-o", "{tmp}/a/b/rows.csv"),
            "query -o {tmp}/a/b/rows.csv: the folder {tmp}/a/b does not exist",
        ),
        (("-o", "{tmp}/old.csv"), "the file exists already; give another name, or replace it with"),
        (("--sort", "alpah"), "sort 'alpah': unknown name 'alpah' (did you mean 'alpha'?)"),
        (
            ("--by", "n", "--sort", "mean"),
            "sort 'mean': no single column has this name; there are n, tri",
        ),
        (("-o", "{tmp}/rows.csv", "--json"), "remove --json"),
        (("--stat", "meen", "--columns", "alpha"), "did you mean 'mean'"),
        (("--by", "statsu"), "by 'statsu': unknown name 'statsu' (did you mean 'status'?)"),
        (("--by", "kernel_eigenvalues"), "several values per trial, along index; select one"),
        (("--columns", "alpha,sigma_mim/2"), "column 'sigma_mim/2': unknown name 'sigma_mim'"),
    ],
)
def test_a_refused_query_writes_nothing(filled, tmp_path, line, message) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "old.csv").write_text("mine")
    result = ask(filled, *(word.format(tmp=tmp_path) for word in line))
    assert result.exit_code == 2
    assert message.format(tmp=tmp_path) in result.stderr
    assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"folder.csv", "file", "old.csv"}
    assert (tmp_path / "old.csv").read_text() == "mine"


def test_without_pyarrow_the_error_names_the_package(filled, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # as where it is not installed
    result = ask(filled, "-o", tmp_path / "rows.parquet")
    assert result.exit_code == 2
    assert "pip install -e '.[parquet]' in the checkout" in result.stderr


def test_a_half_done_store_is_described_and_exits_with_three(make_sweep, tmp_path) -> None:
    sweep, path, file = make_sweep(), tmp_path / "half.zarr", tmp_path / "rows.parquet"
    store.create(path, sweep, seeds_per_chunk=4)
    for tile in list(store.Store(path, sweep).pending_tiles())[::2]:
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    result = ask(path, "--by", "n", "--stat", "count", "--columns", "k", "-o", file)
    assert result.exit_code == 3
    assert result.stderr == (
        f"{path}: statistics over d (2 values), width (3 values), seed (4 values); this mixes "
        "different settings: --by d,width keeps them apart\n"
        f"{path}: 48 trials pending; the list has what is there\n"
    )
    assert pq.read_table(file)["count(k)"].to_pylist() == [24, 24]  # k is known of pending trials too
    assert ask(path, "--by", "status", "--csv").stdout == "status,trials\ndone,48\npending,48\n"


def test_lists_are_split_outside_of_brackets_and_quotes() -> None:
    assert split_list("a, max(b,c) ,d[0.1],status == ','") == [
        "a",
        "max(b,c)",
        "d[0.1]",
        "status == ','",
    ]
    assert split_list(None) is None


def test_pending_trials_can_be_listed(widthlaw, half) -> None:
    result = widthlaw("query", half, "status == 'pending'", "--csv", "--columns", "status")
    assert result.returncode == 3
    assert result.stderr == f"{half}: 150 trials pending; the list has what is there\n"
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 150
    assert {row["status"] for row in rows} == {"pending"}


def test_listing_failed_trials_is_no_failure(widthlaw, failed) -> None:
    result = widthlaw("query", failed[1], "status == 'failed'", "--json")
    assert result.returncode == 0
    assert result.stderr == f"{failed[1]}: {store.Store(failed[1]).counts()['failed']} trials failed\n"
    listed = json.loads(result.stdout)
    assert len(listed) == store.Store(failed[1]).counts()["failed"]
    assert all("not finite" in row["message"] for row in listed)
    assert all(row["sigma_min"] is None for row in listed)


def test_infinity_is_null_in_a_list_of_trials(widthlaw, beyond) -> None:
    line = ("query", beyond[0], "steps_to_tolerance[0.1] > 2000", "--columns", "steps_to_tolerance")
    listed = json.loads(widthlaw(*line, "--json").stdout)
    assert len(listed) == 16
    assert {row["steps_to_tolerance[0.1]"] for row in listed} == {None}
    assert "inf" in widthlaw(*line, "--csv").stdout


@pytest.mark.slow
def test_numbers_are_printed_to_their_last_digit(widthlaw, complete) -> None:
    listed = json.loads(widthlaw("query", complete, "--json", "--columns", "edge,sigma_min").stdout)
    ds = open_store(complete)
    assert [row["edge"] for row in listed] == ds.edge.values.ravel().tolist()
    rows = list(csv.DictReader(io.StringIO(widthlaw("query", complete, "--csv").stdout)))
    assert [float(row["sigma_min"]) for row in rows] == ds.sigma_min.values.ravel().tolist()
    fitted = json.loads(widthlaw("fit", complete, "--json").stdout)
    edges = [cell["k_edge"] for cell in fitted["critical_widths"]]
    assert edges == critical_widths(ds).k_edge.values.ravel().tolist()


# ---- a large store


@pytest.fixture(scope="module")
def sizes(tmp_path_factory, make_sweep):
    """Two stores with made-up results, of 400,000 and of 3,200,000 trials."""
    folder = tmp_path_factory.mktemp("sizes")
    widths = [round(1.1 + 0.1 * step, 1) for step in range(32)]
    for name, seeds in (("small", 2500), ("big", 20_000)):
        keys = {"n": "[10, 20, 30, 40, 50]", "d": "[4]", "width": f"{{ k_per_n = {widths} }}"}
        made = store.create(folder / name, make_sweep(seeds=seeds, **keys), seeds_per_chunk=2000)
        rng = np.random.default_rng(0)
        for tile in made.tiles():
            result = empty_result(made.sweep, tile.first)
            result.status[...] = Status.DONE
            shape = tile.first.shape
            result.values["sigma_min"][...] = rng.random(shape, dtype=np.float32).round(3)
            made.write(tile, [result])
    return folder / "small", folder / "big"


PEAK = """
import resource, sys
from jobs.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        ("sigma_min >= 0.5", "--columns", "sigma_min"),
        ("--columns", "sigma_min", "--by", "n,k", "--stat", "mean,quantile"),
    ],
)
def test_memory_does_not_grow_with_the_store(sizes, tmp_path, line) -> None:
    peaks = []
    for path in sizes:
        run = [
            sys.executable,
            "-c",
            PEAK,
            "query",
            path,
            *line,
            "-o",
            tmp_path / f"{path.name}.parquet",
        ]
        result = subprocess.run(list(map(str, run)), capture_output=True, text=True, check=True)
        peaks.append(int(result.stdout.split()[-1]))
    more = 2_800_000  # trials; a column of theirs has 8 bytes for each
    assert peaks[1] - peaks[0] < 2 * 8 * more
    found = pq.ParquetFile(tmp_path / "big.parquet").metadata
    if "--by" not in line:
        assert found.num_rows == pytest.approx(1_600_000, rel=0.01)
        assert found.num_row_groups > 10
    else:
        assert found.num_rows == 5 * 32


def test_a_closed_pipe_is_no_error(command, sizes) -> None:
    with subprocess.Popen(
        [command, "query", sizes[0], "--csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout.readline().startswith(b"d,n,width,seed,k,")
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 0
