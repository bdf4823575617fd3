"""Verify: whatever is damaged is found, what it spoilt is made pending, and a run brings it back."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from pipeline import store
from pipeline.errors import StoreError, StoreHeld
from pipeline.execution.compute import compute_block
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.trial_status import Status

KEYS = {
    "dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.3] }]",
    "n": "[5, 6]",  # an odd number cannot be paired: some places are excluded
    "d": "[3]",
    "activation": "['relu', 'tanh']",
    "seeds": 4,
}

MESSAGE = "a message that is long enough to be worth compressing, about a trial"


@pytest.fixture(scope="module")
def sound(tmp_path_factory, make_sweep):
    """A store with all kinds of files: two chunks of seeds, excluded places, messages."""
    path, sweep = tmp_path_factory.mktemp("sound") / "a.zarr", make_sweep(**KEYS)
    store.create(path, sweep, seeds_per_chunk=2)
    for tile in store.Store(path, sweep).tiles():
        result = compute_block(sweep, tile.first)
        result.message[0, 0] = MESSAGE
        store.Store(path, sweep).write(tile, [result])
    return path


@pytest.fixture
def copy(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "a.zarr")


def files(path):
    return sorted(file for file in path.rglob("*") if file.is_file())


def chunks(path):
    return [file for file in files(path) if file.name != "zarr.json"]


def one_of_each(path):
    """A file of every kind: of each array a chunk, and its metadata."""
    found = {}
    for file in files(path):
        found.setdefault((file.relative_to(path).parts[0], file.name == "zarr.json"), file)
    return list(found.values())


def flip(file, at) -> bytes:
    raw = file.read_bytes()
    changed = bytearray(raw)
    changed[at] ^= 1 << (at % 8)
    file.write_bytes(changed)
    return raw


def found(path):
    """What is found, or refused."""
    try:
        return damage(path)
    except StoreError as error:
        return [error]


def test_a_sound_store_has_no_damage(sound) -> None:
    assert damage(sound) == []


def test_every_kind_of_experiment_and_dataset_is_sound(tmp_path, make_sweep) -> None:
    shared = {"n": "[6]", "d": "[3]", "seeds": 2, "activation": "'tanh'"}
    few = "{ steps = 20 }"
    for number, keys in enumerate(
        [
            {"experiment": "'spectrum'"},
            {"experiment": "'input'", "descent": few},
            {"experiment": "'joint'", "descent": few, "trained": "['output', 'both']"},
            {"experiment": "'theorem1'", "descent": "{ steps = 20, multiples = [1, 2] }"},
            {"width": "{ k = [10, 20] }", "nested": "false"},
        ]
    ):
        path = tmp_path / f"{number}.zarr"
        pipeline.run(make_sweep(**(shared | keys)), path)
        assert damage(path) == [], keys
        assert sample(path, 3, 0).differences == (), keys


def test_a_pending_store_and_a_half_filled_one_are_sound(tmp_path, make_sweep) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep(**KEYS)
    store.create(path, sweep, seeds_per_chunk=2)
    assert damage(path) == []
    tile = next(store.Store(path, sweep).pending_tiles())
    store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    assert damage(path) == []


@pytest.mark.attack("damaged stores")
def test_every_flipped_byte_of_every_kind_of_chunk_is_found(copy) -> None:
    for file in one_of_each(copy):
        if file.name == "zarr.json":
            continue
        size = file.stat().st_size
        for at in sorted({0, size // 2, size - 1}):
            raw = flip(file, at)
            key = file.relative_to(copy).as_posix()
            assert [one.key for one in damage(copy)] == [key], (key, at)
            file.write_bytes(raw)
    assert damage(copy) == []


@pytest.mark.attack("damaged stores")
def test_every_flipped_byte_of_the_metadata_is_found(copy) -> None:
    rng = np.random.default_rng(0)
    for file in one_of_each(copy):
        if file.name != "zarr.json":
            continue
        root = file.parent == copy
        for at in rng.integers(file.stat().st_size, size=40 if root else 2):
            raw = flip(file, at)
            assert found(copy), (file, at, file.read_bytes()[at - 20 : at + 20])
            file.write_bytes(raw)
    assert damage(copy) == []


@pytest.mark.attack("damaged stores")
@pytest.mark.parametrize("name", ["sigma_min", "alpha", "message", "status", "seed", "seconds"])
def test_truncation_at_any_length_is_found(copy, name) -> None:
    file = next(file for file in chunks(copy / name))
    raw = file.read_bytes()
    for length in {0, 1, 4, len(raw) // 2, len(raw) - 4, len(raw) - 1}:
        file.write_bytes(raw[:length])
        assert [one.key for one in damage(copy)] == [file.relative_to(copy).as_posix()], length
    file.write_bytes(raw + b"\0")
    assert len(damage(copy)) == 1


@pytest.mark.attack("damaged stores")
def test_the_loss_of_every_kind_of_file_is_found(copy) -> None:
    for file in one_of_each(copy):
        raw = file.read_bytes()
        file.unlink()
        kinds = [one.kind for one in damage(copy)]
        array = file.parent.name if file.name == "zarr.json" else file.relative_to(copy).parts[0]
        if file.parent == copy:
            assert kinds == ["root"]
        elif file.name == "zarr.json":
            assert kinds == ["metadata"]
        elif array in xr.open_zarr(copy).coords:
            assert kinds == ["coordinate"]
        elif array == "status":
            assert kinds in (["unfinished"], ["missing"])
        else:
            assert kinds == ["missing"]
        file.write_bytes(raw)


def test_damage_names_its_trials(copy) -> None:
    file = copy / "sigma_min" / "c" / "1" / "0" / "0" / "0" / "1" / "0" / "1"
    flip(file, 3)
    (one,) = damage(copy)
    assert (one.kind, one.array, one.trials) == ("damaged", "sigma_min", 6)
    assert one.where == "activation=tanh dataset=sphere angle=0.0 d=3 n=6 seeds 2-3"


def test_a_write_that_was_cut_off_is_found_and_undone(tmp_path, make_sweep) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep()
    store.create(path, sweep, seeds_per_chunk=4)
    tile = next(store.Store(path, sweep).pending_tiles())
    store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    (path / "status" / "c" / "0" / "0" / "0" / "0").unlink()
    (one,) = damage(path)
    assert (one.kind, one.trials) == ("unfinished", 12)
    assert repair(path, [one]).trials == 12
    assert damage(path) == []
    assert store.Store(path).counts()["pending"] == sweep.trials


def test_files_that_belong_to_nothing_are_found_and_removed(copy) -> None:
    left = [
        copy / "sigma_min" / "c" / "0" / "0" / "x.partial",
        copy / ".lease.json.12345678.partial",
        copy / ".starts-0-0-0.json",
        copy / "sigma_max" / "c" / "Thumbs.db",
        copy / "edge" / "c" / "9" / "9" / "9" / "9" / "9" / "9",
        copy.with_name(".a.zarr.12345678.new") / "zarr.json",
    ]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    kept = [copy / "notes.txt", copy.with_name(".b.zarr.12345678.new")]
    for file in kept:
        file.write_text("mine")
    kinds = [one.kind for one in damage(copy)]
    assert sorted(kinds) == ["leftover"] * 4 + ["unexpected"] * 2
    assert repair(copy, damage(copy)).removed == 6
    assert damage(copy) == []
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in kept)


def test_what_is_repaired_and_run_has_the_bits_of_an_undisturbed_store(
    sound, copy, assert_equal_stores
) -> None:
    sweep = store.stored_sweep(copy)
    rng = np.random.default_rng(3)
    for file in rng.choice(np.array(chunks(copy), dtype=object), 25, replace=False):
        if rng.random() < 0.5:
            file.unlink()
        else:
            flip(file, int(rng.integers(file.stat().st_size)))
    (copy / "edge" / "zarr.json").write_text("{")
    (copy / "seed" / "zarr.json").unlink()
    damages = damage(copy)
    assert damages
    reset = repair(copy, damages)
    assert damage(copy) == []
    pending = store.Store(copy).counts()["pending"]
    assert reset.trials == pending < sweep.trials
    assert pipeline.run(sweep, copy).trials == pending
    assert damage(copy) == []
    messages = ["message"]  # of which the fixture has made some up
    assert_equal_stores(*(xr.open_zarr(path).drop_vars(messages) for path in (sound, copy)))


def test_a_damaged_root_is_found_and_not_repaired(copy) -> None:
    root = copy / "zarr.json"
    root.write_text(root.read_text().replace("entropy = 7", "entropy = 9"))
    (one,) = damage(copy)
    assert (one.kind, one.remedy) == ("root", None)
    with pytest.raises(StoreError, match=r"zarr\.json is damaged and cannot be repaired"):
        repair(copy, [one])


def test_the_copy_of_the_metadata_in_the_root_is_repaired(copy) -> None:
    root = copy / "zarr.json"
    document = json.loads(root.read_text())
    document["consolidated_metadata"]["metadata"]["edge"]["shape"][0] = 17
    root.write_text(json.dumps(document))
    (one,) = damage(copy)
    assert (one.kind, one.key) == ("metadata", "zarr.json")
    repair(copy, [one])
    assert damage(copy) == []


def test_attributes_that_a_user_adds_are_no_damage(copy) -> None:
    zarr.open_group(str(copy), mode="r+").attrs["note"] = "mine"
    assert damage(copy) == []


def test_a_store_that_is_being_filled_is_not_looked_at(copy) -> None:
    with lease.hold(locate(copy)), pytest.raises(StoreHeld, match="another run is filling it"):
        damage(copy)


def test_a_lost_chunk_of_format_version_1_is_found_where_it_can_be(copy) -> None:
    root = copy / "zarr.json"
    document = json.loads(root.read_text())
    attributes = document["attributes"]
    attributes["format_version"] = 1
    shutil.rmtree(copy / ".digests")
    del attributes["digest"], attributes["extents"]
    root.write_text(json.dumps(document))
    assert damage(copy) == []
    for name, seen in {"edge": 0, "message": 0, "seconds": 1, "status": 1}.items():
        file = chunks(copy / name)[0]
        raw = file.read_bytes()
        file.unlink()
        assert len(damage(copy)) == seen, name
        file.write_bytes(raw)
    flip(chunks(copy / "edge")[0], 7)
    assert len(damage(copy)) == 1


# ---- running trials again


def test_a_sample_of_trials_has_equal_bits(sound, tmp_path, make_sweep) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    shown = sample(path, 12, seed=1)
    assert (shown.trials, shown.exact, shown.differences) == (12, True, ())
    assert sample(path, 10**6, seed=1).trials == 96


def test_a_value_that_is_not_what_is_computed_is_named(tmp_path, make_sweep, sealed) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep()
    pipeline.run(sweep, path)
    array = zarr.open_group(str(path), mode="r+")["sigma_min"]
    value = array[1, 0, 2, 3]
    array[1, 0, 2, 3] = np.nextafter(value, 2)
    sealed(path)
    assert damage(path) == []
    (one,) = sample(path, 96).differences
    assert (one.where, one.variable) == ("d=5 n=6 width=4 seed=3", "sigma_min")
    assert (float(one.stored), float(one.now)) == (np.nextafter(value, 2), value)


@pytest.mark.parametrize("other", [{"platform": "Darwin-24-arm64"}, {"processor": "another"}])
def test_on_another_platform_there_is_a_tolerance(tmp_path, make_sweep, other) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["provenance"] = group.attrs["provenance"] | other
    array = group["sigma_min"]
    array[1, 0, 2, 3] *= 1 + 1e-9
    shown = sample(path, 96)
    assert (shown.exact, shown.differences) == (False, ())
    array[1, 0, 2, 3] *= 1 + 1e-7
    assert len(sample(path, 96).differences) == 1


# ---- the sweep of a store


def test_a_store_says_its_sweep(sound, make_sweep) -> None:
    assert store.stored_sweep(sound) == make_sweep(**KEYS)


def test_the_sweep_of_a_store_with_a_data_file_needs_it(tmp_path, make_sweep, monkeypatch) -> None:
    rows = np.random.default_rng(0).standard_normal((12, 5))
    np.save(tmp_path / "rows.npy", rows)
    table = "{ kind = 'file', path = 'rows.npy', normalise = true }"
    keys = {"folder": tmp_path, "dataset": table, "d": "[5]", "n": "[6]"}
    store.create(tmp_path / "a.zarr", make_sweep(**keys))
    monkeypatch.chdir(tmp_path)
    assert store.stored_sweep("a.zarr").dataset == make_sweep(**keys).dataset
    np.save(tmp_path / "rows.npy", rows + 1)
    with pytest.raises(StoreError, match="the data file has other rows"):
        store.stored_sweep("a.zarr")
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(StoreError, match=r"rows\.npy: not found.*relative to"):
        store.stored_sweep("a.zarr")


# ---- hostile stores


def bomb(folder):
    """Bytes that create a file when they are unpickled."""

    class Bomb:
        def __reduce__(self):
            return open, (str(folder / "exploded"), "w")

    return pickle.dumps(Bomb())


def pickled_array(folder, payload) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "fill_value": None,
        "order": "C",
        "compressor": None,
        "filters": [{"id": "pickle", "protocol": 5}],
    }
    (folder / ".zarray").write_text(json.dumps(metadata))
    (folder / "0").write_bytes(payload)


@pytest.mark.attack("damaged stores")
@pytest.mark.parametrize(
    "read", [damage, store.check_store, store.stored_sweep, lambda p: sample(p, 3)]
)
def test_pickles_in_a_store_are_refused_and_never_loaded(copy, tmp_path, read) -> None:
    payload = bomb(tmp_path)
    old = tmp_path / "old.zarr"
    pickled_array(old / "status", payload)
    (old / ".zgroup").write_text('{"zarr_format": 2}')
    (old / ".zattrs").write_text((copy / "zarr.json").read_text())
    with pytest.raises(StoreError, match="holds no store"):
        read(old)
    shutil.rmtree(copy / "seed")
    pickled_array(copy / "seed", payload)
    shutil.rmtree(copy / "status")
    pickled_array(copy / "status", payload)
    with contextlib.suppress(StoreError):
        read(copy)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.attack("damaged stores")
@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"experiment": ["conditioning"]},
        {"identity": 3},
        {"identity_fields": "text"},
        {"estimated_seconds": "soon"},
        {"sweep": {"a": 1}},
        {"sweep": "entropy = "},
        {"extents": 3},
        {"extents": {"d": "x", "n": [[]], "width": None, "seeds": [[0, 10**15]]}},
        {"extents": {"d": [3.5], "n": [6], "width": [1.5], "seeds": [[0, 2]]}},
        {"format_version": [2], "provenance": "none"},
    ],
)
def test_attributes_of_odd_types_are_refused_in_words(copy, change) -> None:
    root = copy / "zarr.json"
    document = json.loads(root.read_text())
    document["attributes"] |= change
    root.write_text(json.dumps(document))
    with pytest.raises(StoreError) as refused:
        store.stored_sweep(copy)
    assert "\n" not in str(refused.value)
    assert found(copy)


@pytest.mark.attack("damaged stores")
@pytest.mark.parametrize("text", ["", "[" * 100_000, "[1, 2]", "null", '{"zarr_format": 3}', "\xff"])
def test_a_root_that_is_no_metadata_is_refused_in_words(copy, text) -> None:
    (copy / "zarr.json").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError):
        store.check_store(copy)
    assert found(copy)


def test_statuses_are_those_of_the_store(sound) -> None:
    assert set(np.unique(store.Store(sound).statuses())) == {Status.DONE, Status.EXCLUDED}
