"""Keys that people try in a sweep file although there are none, and what the program does instead.

A key of another table is answered with its place: in TOML, all that follows `[descent]` belongs to it.
Other unknown keys get the nearest known name (`toml`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

__all__ = ["ANSWERS", "answer_to"]

_LABELS = 'write a table: [labels], kind = "signs", "linear", "file" or others, noise, classes, flip'
_START = 'write a table: [start], W = "gaussian", W_scale = 1.0, v = "signs", v_scale, output = "1"'
_BATCH = "write batch = 32 in the table [descent]; each epoch draws without replacement"
_METHOD = 'write method = "gd", "momentum", "nesterov" or "adam" in the table [descent]'
_STEP = "write step_size in the table [descent], a multiple of 1 / lambda_max, or { absolute = 0.1 }"
_SCHEDULE = 'write schedule = "constant", "cosine" or "1/t" in the table [descent]'
_STEPS = 'write steps in the table [descent], 20000 or "20 * n"; without batch, one is one epoch'
_TOLERANCES = "write tolerances = [1e-2, 1e-4] in the table [descent]; a trial ends at the last of them"
_LOSS = 'write loss = "squared", "logistic" or "squared_hinge" in the table [descent]'
_REGULAR = "training minimises the loss alone, without regularisation"
_BIAS = "write bias = 0.1 in the table [start], the scale of the biases of the first layer"
_LAYERS = 'write experiment = "deep" and depth = [1, 2, 3], the number of hidden layers of width k'
_TRAINED = (
    'the experiment decides: output trains v, input W, and joint takes trained = ["output", "both"]'
)
_SEEDS = "write seeds = 40 for the number of draws; entropy = 1 starts all random streams"
_WIDTH = (
    "write width = { k = [100, 200] }, or k_per_n, kd_per_n or k_per_d for multiples of n, n/d or d"
)
_RANGE = "write a range with its unit: width = { k_per_n = { start = 1.1, stop = 4.0, num = 24 } }"
_SAMPLES = "write n = [100, 200], the number of samples"
_DIMENSION = "write d = [20], the input dimension; a data file knows its own"
_PHI = 'write activation = "relu", or a list of names'
_ROWS = 'write dataset = { kind = "file", path = "rows.npy", normalise = true }'
_TEST = "write test_samples = 1000 in the table [descent]; they are fresh samples of the same dataset"
_TEACHER = 'experiment = "generalisation" draws a teacher network; it has no settings'
_SUCCESS = "success is chosen when a store is read: `widthlaw fit STORE --success EXPRESSION`"
_BUDGET = "write steps in the table [descent]; `widthlaw fit STORE --budget STEPS` takes less of them"
_WORKERS = "give it to the command: `widthlaw run SWEEP --workers N`"
_STORE = "give it to the command: `widthlaw run SWEEP -o STORE`"
_FLOAT = 'write dtype = "float32" in the table [descent]; results are stored as float64'
_CPU = "trials run on CPUs only"
_NOTE = "write a comment: # text; the store keeps the file as it is written"

ANSWERS: dict[str, str] = {
    key: text
    for keys, text in (
        ("batch_size batchsize minibatch mini_batch shuffle", _BATCH),
        ("optimizer optimiser algorithm solver adam sgd nesterov", _METHOD),
        ("learning_rate lr eta stepsize rate", _STEP),
        ("lr_scheduler lr_schedule warmup lr_decay", _SCHEDULE),
        ("epochs epoch iterations max_iter max_steps num_steps n_steps", _STEPS),
        ("tolerance tol epsilon eps early_stopping patience", _TOLERANCES),
        ("loss_fn loss_function criterion objective", _LOSS),
        ("regularization regularisation weight_decay l2 l1 ridge dropout", _REGULAR),
        ("label targets target y label_noise", _LABELS),
        ("init initialization initialisation initializer init_scale weights sigma_w", _START),
        ("bias biases use_bias", _BIAS),
        ("layers hidden_layers num_layers n_layers architecture model", _LAYERS),
        ("train trainable freeze layer", _TRAINED),
        ("seed random_state rng repeats repetitions trials num_seeds n_seeds num_trials", _SEEDS),
        ("widths hidden hidden_units hidden_size units neurons num_hidden", _WIDTH),
        ("start stop num spacing", _RANGE),
        ("samples n_samples num_samples", _SAMPLES),
        ("dim dims dimension input_dim features n_features", _DIMENSION),
        ("phi nonlinearity act activations activation_function", _PHI),
        ("data file data_file rows x", _ROWS),
        ("test test_size train_size split validation", _TEST),
        ("teacher teacher_units teacher_width", _TEACHER),
        ("success threshold metric metrics", _SUCCESS),
        ("budget budgets", _BUDGET),
        ("workers processes parallel n_jobs cores threads", _WORKERS),
        ("output out store path_out save", _STORE),
        ("precision float float32", _FLOAT),
        ("device gpu cuda", _CPU),
        ("description notes note title comment author", _NOTE),
    )
    for key in keys.split()
}
"""A sentence for each such key, in small letters and with underscores."""

_PLACES = {
    "": "write it at the top of the file, above the first line such as [descent]",
    "descent": "write it in the table [descent]",
    "labels": "write it in the table [labels]",
    "start": "write it in the table [start]",
    "dataset": "write it in the table of a dataset, dataset = { kind = ... }",
    "width": "write it in the table of the widths, width = { ... }",
    "functionals": "write it in the table [functionals], which conditioning takes",
}
"""A sentence for each table of a sweep file."""


def answer_to(path: Sequence[object], tables: Mapping[str, type[BaseModel]]) -> str | None:
    """Return what a file should say instead of an unknown key; None if that is not known.

    Parameters
    ----------
    path
        The keys that lead to it.
    tables
        The table of each name in `_PLACES`.
    """
    here = str(path[0]) if len(path) > 1 else ""
    if here == "width" and len(path) > 2:  # within a range
        return None
    name = str(path[-1])[:100].lower().replace("-", "_")
    if here == "width" and name in ANSWERS:  # start, which is a table as well
        return ANSWERS[name]
    for place, table in tables.items():
        if place != here and name in table.model_fields:
            return _PLACES[place]
    if name in ANSWERS:
        return ANSWERS[name]
    if difflib.get_close_matches(name, tables[here].model_fields, n=1):
        return None
    close = difflib.get_close_matches(name, ANSWERS, n=1, cutoff=0.8)
    return ANSWERS[close[0]] if close else None
