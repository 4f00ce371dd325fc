"""From a table's cells to a model's inputs: numpy alone, the same at parties and where it serves.

`columns` reads cells into numbers, `fills` says what stands in for missing ones, `inputs` lays out
the numbers that the model sees, and `scaling` standardises them; `own` is all of it at a hospital.
"""
