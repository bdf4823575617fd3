"""Random 3-XORSAT: can k random equations in n bits hold at once?

Each equation adds three of the bits modulo 2 and asks for a random result. Almost all systems with
k < 0.918 n equations can be solved, and almost none with more: the threshold of O. Dubois and J.
Mandler, *The 3-XORSAT threshold*, FOCS 2002. Nothing here is a network: `n` counts bits, and the axis
`width` counts equations.

One call serves all widths of a seed: equations are added one by one, and none takes a conflict back.
"""

from pipeline import Trial, experiment, variable


@experiment(solvable=variable("1 if all k equations can hold at once, else 0"), widths="together")
def xorsat(trial: Trial):
    rng, n = trial.rng("equations"), trial.n
    by_pivot: dict[int, int] = {}  # bits 0 to n - 1 are the unknowns, bit n is the result
    conflict = trial.k + 1
    for number in range(1, trial.k + 1):
        equation = sum(1 << int(bit) for bit in rng.choice(n, 3, replace=False))
        equation |= int(rng.integers(2)) << n
        while (pivot := equation & -equation) in by_pivot:
            equation ^= by_pivot[pivot]
        if pivot == 1 << n:  # 0 = 1
            conflict = number
            break
        if equation:
            by_pivot[pivot] = equation
    return {"solvable": [k < conflict for k in trial.widths]}
