"""The inputs X: what each kind draws, and which files are refused with which words."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pipeline
from pipeline.errors import SweepError
from pipeline.numerics.datasets import KINDS, DatasetSpec, draw

ANGLES = [1e-6, 1e-3, 0.01, 0.3, 1.0, np.pi / 2]


def drawn(kind: str, n: int, d: int, angle: float | None = None, seed: int = 0) -> np.ndarray:
    spec = DatasetSpec(kind, () if angle is None else (angle,))
    return draw(spec, np.random.default_rng(seed), n, d, angle)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between the rows of a and b, exact for small ones."""
    apart, along = (np.linalg.norm(a + sign * b, axis=1) for sign in (-1, 1))
    return 2 * np.arctan2(apart, along)


# ---- random models


@pytest.mark.parametrize("d", [2, 3, 20])
def test_rows_of_the_sphere_are_uniform_and_of_unit_norm(d: int) -> None:
    rows = drawn("sphere", 20_000, d)
    assert rows.shape == (20_000, d)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=0, atol=1e-15)
    for direction in (np.eye(d)[0], np.ones(d) / np.sqrt(d)):
        height = stats.beta((d - 1) / 2, (d - 1) / 2, loc=-1, scale=2)
        assert stats.kstest(rows @ direction, height.cdf).pvalue > 0.01


@pytest.mark.parametrize("d", [1, 3, 20])
def test_entries_of_gaussian_rows_are_normal_of_variance_one_over_d(d: int) -> None:
    rows = drawn("gaussian", 20_000, d)
    assert stats.kstest(rows.ravel() * np.sqrt(d), stats.norm.cdf).pvalue > 0.01
    squares = np.sum(rows**2, axis=1)
    assert stats.kstest(squares * d, stats.chi2(d).cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", ["sphere", "gaussian"])
def test_moments_are_those_of_the_model(kind: str) -> None:
    d, n = 5, 40_000
    rows = drawn(kind, n, d)
    fourth = {"sphere": 3 / (d * (d + 2)), "gaussian": 3 / d**2}[kind]
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=5 / np.sqrt(d * n))
    np.testing.assert_allclose(rows.T @ rows / n, np.eye(d) / d, atol=5 * np.sqrt(fourth / n))
    np.testing.assert_allclose((rows**4).mean(axis=0), fourth, rtol=0.1)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"file"}))
def test_a_stream_gives_its_rows_and_another_stream_others(kind: str) -> None:
    angle = 0.1 if KINDS[kind].has_angle else None
    first, again, other = (drawn(kind, 6, 4, angle, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (kind == "circle")


# ---- families on which alpha falls


@pytest.mark.parametrize(("n", "d"), [(1, 2), (6, 2), (27, 10)])
def test_the_circle_is_the_roots_of_unity_in_the_first_plane(n: int, d: int) -> None:
    rows = drawn("circle", n, d)
    roots = np.exp(2j * np.pi * np.arange(n) / n)
    np.testing.assert_allclose(rows[:, 0] + 1j * rows[:, 1], roots, rtol=0, atol=1e-15)
    assert not rows[:, 2:].any()


def test_neighbours_on_the_circle_are_equally_far_apart() -> None:
    rows = drawn("circle", 27, 3)
    neighbours = between(rows, np.roll(rows, 1, axis=0))
    np.testing.assert_allclose(neighbours, 2 * np.pi / 27, rtol=1e-13)


@pytest.mark.parametrize("angle", [*ANGLES, np.pi])
def test_pairs_have_the_angle_that_was_requested(angle: float) -> None:
    rows = drawn("pairs", 400, 7, angle).reshape(200, 2, 7)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1, rtol=0, atol=1e-14)
    np.testing.assert_allclose(between(rows[:, 0], rows[:, 1]), angle, rtol=0, atol=1e-14)


@pytest.mark.parametrize("angle", ANGLES)
def test_triples_have_the_angle_on_both_sides_and_lie_in_one_plane(angle: float) -> None:
    rows = drawn("triples", 600, 7, angle).reshape(200, 3, 7)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1, rtol=0, atol=1e-14)
    for first, second, expected in ((0, 1, angle), (1, 2, angle), (0, 2, 2 * angle)):
        found = between(rows[:, first], rows[:, second])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["pairs", "triples"])
def test_rotated_rows_are_uniform_as_well(kind: str) -> None:
    size = KINDS[kind].multiple
    rows = drawn(kind, 6000 * size, 3, 0.5).reshape(6000, size, 3)
    for member in range(size):  # in three dimensions each coordinate is uniform (Archimedes)
        assert stats.kstest(rows[:, member, 0], stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_planes_of_rotation_are_independent_and_uniform() -> None:
    base, rotated = drawn("pairs", 12_000, 3, np.pi / 2).reshape(6000, 2, 3).swapaxes(0, 1)
    normal = np.cross(base, rotated)
    assert stats.kstest(normal[:, 0], stats.uniform(-1, 2).cdf).pvalue > 0.01


# ---- the user's rows


def file_table(name: str, normalise: bool = False) -> str:
    return f"{{ kind = 'file', path = '{name}', normalise = {str(normalise).lower()} }}"


@pytest.fixture
def linear(tmp_path):
    """Run a sweep over a data file; with phi linear, K = X X^T tells which rows were drawn."""

    def run(name: str, n: int, seeds: int = 1, normalise: bool = False) -> xr.Dataset:
        (tmp_path / "sweep.toml").write_text(
            'name = "rows"\nexperiment = "spectrum"\nactivation = "linear"\nwidth = [3]\n'
            f"dataset = {file_table(name, normalise)}\nn = {n}\nseeds = {seeds}\n"
        )
        pipeline.run(pipeline.load_sweep(tmp_path / "sweep.toml"), tmp_path / "rows.zarr")
        return xr.open_zarr(tmp_path / "rows.zarr").squeeze(("n", "width", "d"))

    return run


def orthogonal(count: int) -> np.ndarray:
    """Rows whose squared norms are 1, 2, ..., count: eigenvalues of X X^T are the rows' names."""
    return np.diag(np.sqrt(np.arange(1.0, count + 1)))


def test_n_distinct_rows_are_drawn_and_all_equally_often(tmp_path, linear) -> None:
    np.save(tmp_path / "rows.npy", orthogonal(10))
    ds = linear("rows.npy", n=4, seeds=500)
    chosen = np.round(ds.kernel_eigenvalues.values).astype(int)
    np.testing.assert_allclose(ds.kernel_eigenvalues, chosen, rtol=1e-12)
    assert (np.diff(chosen, axis=1) > 0).all()
    times = np.bincount(chosen.ravel(), minlength=11)[1:]
    spread = np.sqrt(500 * 0.4 * 0.6)
    np.testing.assert_allclose(times, 500 * 0.4, atol=4 * spread)
    assert len(np.unique(chosen, axis=0)) > 150  # of the 210 subsets, 191 are expected


def test_as_many_samples_as_rows_takes_every_row_once(tmp_path, linear) -> None:
    np.save(tmp_path / "rows.npy", orthogonal(6))
    ds = linear("rows.npy", n=6, seeds=5)
    assert ds.d == 6
    np.testing.assert_allclose(ds.kernel_eigenvalues, np.tile(np.arange(1, 7), (5, 1)), rtol=1e-12)


def test_normalised_rows_have_unit_norm_and_keep_their_angles(tmp_path, linear) -> None:
    rows = np.random.default_rng(0).standard_normal((6, 4)) * np.logspace(-8, 8, 6)[:, None]
    np.save(tmp_path / "rows.npy", rows)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rho = rows @ rows.T / np.outer(norms, norms)
    found = linear("rows.npy", n=6, normalise=True).squeeze("seed").kernel_eigenvalues
    np.testing.assert_allclose(found, np.linalg.eigvalsh(rho), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "i4", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_real_dtype_and_order_is_its_numbers(tmp_path, linear, dtype, order) -> None:
    rows = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    np.save(tmp_path / "rows.npy", np.asarray(rows, dtype=dtype, order=order))
    found = linear("rows.npy", n=3).squeeze("seed").kernel_eigenvalues
    np.testing.assert_allclose(found, [1, 1, 2], rtol=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "1,0\n0,2\n",
        "1,0\r\n0,2\r\n",
        "1,0\n\n0,2",
        "first,second\n1,0\n0,2\n",
        "\ufefffirst,second\n1,0\n0,2\n",
        '"1","0"\n 0 , +2.0e0 \n',
    ],
    ids=["plain", "crlf", "blank line", "header", "byte order mark", "quotes and blanks"],
)
def test_a_csv_file_is_its_numbers(tmp_path, linear, text: str) -> None:
    (tmp_path / "rows.csv").write_bytes(text.encode())
    found = linear("rows.csv", n=2).squeeze("seed").kernel_eigenvalues
    np.testing.assert_array_equal(found, [1, 4])


def test_the_same_numbers_as_npy_and_as_csv_are_the_same_dataset(tmp_path, make_sweep) -> None:
    rows = np.random.default_rng(0).standard_normal((12, 5))
    np.save(tmp_path / "a.npy", rows)
    np.savetxt(tmp_path / "b.csv", rows, delimiter=",", fmt="%.17g")
    one, two = (
        make_sweep(folder=tmp_path, dataset=file_table(name, True), d="[5]")
        for name in ("a.npy", "b.csv")
    )
    assert one.identity == two.identity


# ---- files that are refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npy", None, "not found"),
        ("rows.txt", "1,2\n", "got the ending '.txt', expected .npy or .csv"),
        ("rows", "1,2\n", "got the ending '', expected .npy or .csv"),
        ("rows.csv", "", "holds no samples"),
        ("rows.csv", "\n\n", "holds no samples"),
        ("rows.csv", "x,y\n", "holds no samples"),
        ("rows.csv", "1,2\n3,4\n5\n6,7\n", "line 3: got 1 columns, expected 2"),
        ("rows.csv", "x,y\n1,2\n\n3,4,5\n", "line 4: got 3 columns, expected 2"),
        ("rows.csv", "1,2\n3,4\n5,six\n", "line 3: got 'six', expected a number"),
        ("rows.csv", "1,y\n3,4\n", "line 1: got 'y', expected a number"),
        ("rows.csv", "1,2\n3,\n", "line 2: got '', expected a number"),
        ("rows.csv", "1;2\n3;4\n", "line 2: got '3;4', expected a number"),
        ("rows.csv", "1,2\n3,nan\n", "sample 1, column 1 is nan, expected finite numbers"),
        ("rows.csv", "x,y\n-inf,2\n3,4\n", "sample 0, column 'x' is -inf, expected finite numbers"),
        ("rows.csv", "1,2\n3,1e999\n", "sample 1, column 1 is inf, expected finite numbers"),
        ("rows.csv", b"1,2\n3,\xe9\n", "not readable as text"),
        ("rows.npy", b"", "not a .npy array of numbers"),
        ("rows.npy", b"text", "not a .npy array of numbers"),
        ("rows.npy", np.array(1.0), "shape (), expected (samples, d)"),
        ("rows.npy", np.ones(6), "shape (6,), expected (samples, d)"),
        ("rows.npy", np.ones((6, 2, 2)), "shape (6, 2, 2), expected (samples, d)"),
        ("rows.npy", np.ones((0, 5)), "shape (0, 5), expected (samples, d)"),
        ("rows.npy", np.ones((6, 0)), "shape (6, 0), expected (samples, d)"),
        ("rows.npy", np.ones((6, 2), dtype=object), "not a .npy array of numbers"),
        ("rows.npy", np.full((6, 2), "1"), "got <U1 values, expected real numbers"),
        ("rows.npy", np.ones((6, 2), dtype=complex), "got complex128 values, expected real numbers"),
        ("rows.npy", np.zeros((6, 2), dtype="f8,f8"), "values, expected real numbers"),
        ("rows.npy", np.array([[1, 2], [3, np.nan]]), "sample 1, column 1 is nan"),
        ("rows.npy", np.array([[1, np.inf], [3, 4]]), "sample 0, column 1 is inf"),
    ],
)
def test_a_file_that_cannot_serve_is_refused(tmp_path, make_sweep, name, content, message) -> None:
    if isinstance(content, np.ndarray):
        np.save(tmp_path / name, content)
    elif content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SweepError) as refused:
        make_sweep(folder=tmp_path, dataset=file_table(name), n="[1]", experiment="'spectrum'")
    assert f"dataset.path: data file {tmp_path / name}" in str(refused.value)
    assert message in str(refused.value)


def test_a_cut_off_npy_file_is_refused(tmp_path, make_sweep) -> None:
    np.save(tmp_path / "rows.npy", np.ones((50, 5)))
    whole = (tmp_path / "rows.npy").read_bytes()
    (tmp_path / "rows.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SweepError, match=r"rows\.npy: not a \.npy array of numbers"):
        make_sweep(folder=tmp_path, dataset=file_table("rows.npy"), d="[5]")


def test_a_zero_row_is_refused_where_rows_are_normalised_and_only_there(tmp_path, make_sweep) -> None:
    rows = np.eye(8)[:, :5]
    np.save(tmp_path / "rows.npy", rows)
    keys = {"folder": tmp_path, "n": "[6]", "d": "[5]", "experiment": "'spectrum'"}
    with pytest.raises(
        SweepError, match=r"sample 5 is all zeros and cannot be normalised; drop that sample$"
    ):
        make_sweep(**keys, dataset=file_table("rows.npy", normalise=True))
    assert make_sweep(**keys, dataset=file_table("rows.npy")).d == (5,)


def test_a_relative_path_starts_at_the_folder_of_the_sweep_file(tmp_path, write_sweep) -> None:
    np.save(tmp_path / "rows.npy", np.eye(12)[:, :5] + 1)
    file = write_sweep(dataset=file_table("rows.npy", normalise=True), d="[5]")
    assert pipeline.load_sweep(file).dataset[0].path == str(tmp_path / "rows.npy")
