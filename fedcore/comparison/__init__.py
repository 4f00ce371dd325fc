"""Strategies side by side on the same data: which cells there are, one cell, the table, the plot.

A cell is one training: a strategy, or a baseline, at one seed. `plan`, `result`, `table`, `page`
and `plot` need no torch; `running` does.
"""
