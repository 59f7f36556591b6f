"""The command line: one file per verb, each parses, calls :mod:`impasto.api` and prints.

Nothing here imports PyTorch until a verb has something to compute, so ``impasto --help`` answers at once.
"""
