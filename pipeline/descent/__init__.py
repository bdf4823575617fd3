"""Gradient descent on networks: what it reaches, in how many steps, and how far it travels.

`network` holds the weights, their features and their Jacobian; `rows` the activations with their
derivatives, compiled; `loop` full-batch descent, compiled; `output` the closed form for the output
layer, which is never iterated; `certificates` the constants of Theorem 1.
"""
