"""The jamming transition: how many random patterns can a network satisfy, at several depths?

A network of `depth` hidden layers of k ReLU units, with biases, on inputs of k dimensions has
N = depth k^2 + k weights. It shall classify P = ratio N random patterns with margin 1. The loss is the
squared hinge, sum over patterns of max(0, 1 - y f(x))^2 / 2P; a pattern whose margin is not met is a
constraint that is `unsatisfied`. Theory predicts that their number jumps at the transition, from 0 to a
share of N.

Training is Adam on all patterns, from orthogonal weights and biases 0, as published. Its step is
constant for half of the budget and then falls to 0, which needs fewer steps than a constant one.
"""

import numpy as np

from pipeline import Trial, experiment, variable


@experiment(
    unsatisfied=variable("patterns whose margin is not met at the end, N_Delta"),
    patterns=variable("patterns, P"),
    weights=variable("weights of the network without biases, N"),
    loss=variable("mean of max(0, 1 - y f)^2 / 2 over the patterns at the end"),
    steps_taken=variable("steps of Adam until all margins are met, or the budget", units="steps"),
)
def jamming(trial: Trial):
    depth, ratio = trial.parameters["depth"], trial.parameters["ratio"]
    N = depth * trial.k**2 + trial.k
    P = round(ratio * N)
    X = trial.rng("patterns", trial.k).standard_normal((P, trial.k))
    y = trial.rng("labels").choice([-1.0, 1.0], P)
    theta, layers = start(trial.rng("start", trial.k, depth), trial.k, depth)
    missing, taken = adam(theta, layers, X, y, trial.parameters["steps"], trial.parameters["step_size"])
    loss = float(missing @ missing) / (2 * P)
    return {
        "unsatisfied": np.count_nonzero(missing),
        "patterns": P,
        "weights": N,
        "loss": loss,
        "steps_taken": taken,
    }


def start(rng, k, depth):
    """Return all weights and biases as one array, and those of each layer as views of it."""
    square = [np.linalg.qr(rng.standard_normal((k, k))) for _ in range(depth)]
    out = rng.standard_normal((1, k))
    weights = [Q * np.sign(np.diag(R)) for Q, R in square] + [out / np.linalg.norm(out)]
    theta = np.concatenate([np.append(W, np.zeros(len(W))) for W in weights])
    layers, begin = [], 0
    for rows, columns in [W.shape for W in weights]:
        middle, end = begin + rows * columns, begin + rows * (columns + 1)
        layers.append((theta[begin:middle].reshape(rows, columns), theta[middle:end]))
        begin = end
    return theta, layers


def forward(layers, X):
    """Return the inputs of all layers, and the outputs of the network."""
    inputs = [X]
    for W, b in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ W.T + b, 0))
    W, b = layers[-1]
    return inputs, inputs[-1] @ W[0] + b


def gradient(layers, inputs, slopes):
    """Return the derivatives of a loss in all weights and biases, from those in the outputs."""
    back, found = slopes[:, None], []
    for layer in reversed(range(len(layers))):
        found = [(back.T @ inputs[layer]).ravel(), back.sum(axis=0), *found]
        if layer:
            back = (back @ layers[layer][0]) * (inputs[layer] > 0)
    return np.concatenate(found)


def adam(theta, layers, X, y, steps, step_size):
    """Train the layers in place; return what the margins miss in the end, and the steps taken."""
    mean, square, step = np.zeros_like(theta), np.zeros_like(theta), 0
    while True:
        inputs, outputs = forward(layers, X)
        missing = np.maximum(1 - y * outputs, 0)
        active = np.flatnonzero(missing)  # no other pattern has a gradient
        if step == steps or not len(active):
            return missing, step
        slopes = gradient(layers, [a[active] for a in inputs], (-y * missing / len(y))[active])
        mean += 0.1 * (slopes - mean)
        square += 0.001 * (slopes**2 - square)
        eta = step_size * min(1, 2 * (1 - step / steps)) / (1 - 0.9 ** (step + 1))
        theta -= eta * mean / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
        step += 1
