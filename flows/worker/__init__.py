"""The worker of a Prefect pool that runs fedcore's own flows and nothing else."""
