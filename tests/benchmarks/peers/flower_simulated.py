"""The neutral work in Flower's simulation; run by the Python of Flower's own environment.

`python flower_simulated.py PARTIES ROUNDS plain|scored MARKS`, see flower_app.py.
"""

from __future__ import annotations

import sys

from flower_app import client, serve
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    serve(grid, GIVEN)


if __name__ == "__main__":
    parties, rounds, scored, marks = sys.argv[1:]
    GIVEN = {"parties": int(parties), "rounds": int(rounds)}
    GIVEN |= {"scored": scored == "scored", "marks": marks}
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=int(parties),
        # As many actors as cores: more than the two cores that Flower gives a client by default.
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
