"""The verbs as Prefect tasks: each opens its desk, calls one function, returns a name."""
