"""Stochastic gradient descent as PyTorch does it: how wide until random labels are fitted?

A network v^T relu(W x) of k units, as `nn.Linear` starts it, is trained on the logistic loss by
`torch.optim.SGD` with momentum, in mini-batches without replacement. Success is an accuracy of 1 on the
training set within the epochs: `epochs_to_fit` tells when. PyTorch draws from a generator that the
trial seeds, and runs in one thread, as the trials share the cores.
"""

import numpy as np
import torch
from torch import nn

from pipeline import Trial, experiment, variable

torch.set_num_threads(1)


@experiment(
    epochs_to_fit=variable("first epoch with all labels right; inf where none", units="epochs"),
    accuracy=variable("share of right labels after the last epoch"),
)
def sgd(trial: Trial):
    torch.manual_seed(int(trial.rng("torch", trial.k).integers(2**63)))
    X = torch.tensor(trial.inputs(), dtype=torch.float32)
    y = torch.tensor(trial.labels(), dtype=torch.float32)
    network = nn.Sequential(nn.Linear(trial.d, trial.k), nn.ReLU(), nn.Linear(trial.k, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=trial.parameters["lr"], momentum=0.9)
    for epoch in range(1, trial.parameters["epochs"] + 1):
        for batch in torch.randperm(trial.n).split(trial.parameters["batch"]):
            loss = nn.functional.softplus(-y[batch] * network(X[batch])[:, 0]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = float((network(X)[:, 0] * y > 0).float().mean())
        if accuracy == 1:
            return {"epochs_to_fit": epoch, "accuracy": accuracy}
    return {"epochs_to_fit": np.inf, "accuracy": accuracy}
