"""The hub: exchange, Prefect and MLflow of a coordinator, its parties and their deployments."""
