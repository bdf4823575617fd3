"""Experiments, activations, datasets and labels of one's own: functions in a file beside the sweep.

The sweep file names the function, `experiment = "mine.py:gap"`. `sources` reads that file and the
modules beside it which it imports; `modules` makes modules of their texts, in this process or on a
worker; `declaration` has the decorator, which tells the arrays that a trial returns; `trial` the object
that the function gets; and `build` makes of all that an `Experiment` like any other.

Other functions are known by names that bring their code (`code`): `activations`, with `smoothness` for
their kinks and derivatives and `rows` for the loop of descent, and `datasets`. `provider` gets them
all, from a file or from the words of a store, and `calls` calls them so that they disturb nothing.

Nothing here runs a text that a store holds: stores keep names and a digest, and no code.
"""
