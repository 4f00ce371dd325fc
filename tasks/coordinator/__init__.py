"""The coordinator's tasks. Nothing here, nor what it imports, knows torch or a patient."""
