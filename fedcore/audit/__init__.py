"""Who did what: signing keys, canonical JSON and the hash-chained ledger of every party."""
