"""The party's tasks: the only ones whose process sees a patient."""
