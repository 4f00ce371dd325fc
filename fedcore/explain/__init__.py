"""Explaining a training: tables for the data scientist, figures and a report for the hospital.

Nothing here computes a model and nothing imports torch; `tables` alone needs pyarrow, so the
coordinator uses `figures` and `report` without it.
"""
