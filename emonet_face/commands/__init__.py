"""The commands of `emonet-face`, a file for each product; `emonet_face.cli` puts them together.

A command parses its options, calls one function and prints what came out. Heavy imports happen
inside, so that `--help` answers at once.
"""
