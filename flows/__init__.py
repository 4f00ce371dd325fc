"""The story as Prefect flows: no tensor, no record, no bucket, only names pass through here."""
