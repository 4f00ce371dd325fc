"""The neutral work in Flower's simulation; run by the Python of Flower's own environment.

`python flower_app.py PARTIES ROUNDS plain|scored MARKS`: `plain` trains alone, `scored` evaluates
each round's model at every client as well, which is Flower's default.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from neutral import mark, model, perturbed, require_rounds

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Answer at once with a perturbed model."""
    arrays = {name: array.numpy() for name, array in message.content["arrays"].items()}
    content = {"arrays": _record(perturbed(arrays)), "metrics": _metrics()}
    return Message(content=RecordDict(content), reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Read the model, answer with constant scores."""
    for array in message.content["arrays"].values():
        array.numpy()
    return Message(content=RecordDict({"metrics": _metrics()}), reply_to=message)


class Marked(FedAvg):
    """Flower's own FedAvg, which notes when each round begins."""

    def configure_train(self, server_round: int, *given: object) -> Iterable[Message]:
        mark(MARKS)
        return super().configure_train(server_round, *given)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """All rounds; the last mark is the end of the last."""
    strategy = Marked(
        fraction_evaluate=float(SCORED),
        min_train_nodes=PARTIES,
        min_evaluate_nodes=PARTIES,
        min_available_nodes=PARTIES,
    )
    result = strategy.start(grid=grid, initial_arrays=_record(model()), num_rounds=ROUNDS)
    mark(MARKS)
    require_rounds({name: array.numpy() for name, array in result.arrays.items()}, ROUNDS)


def _record(arrays: dict) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _metrics() -> MetricRecord:
    return MetricRecord({"loss": 0.5, "accuracy": 0.75, "num-examples": 10})


if __name__ == "__main__":
    PARTIES, ROUNDS, SCORED = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "scored"
    MARKS = Path(sys.argv[4])
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=PARTIES,
        # As many actors as cores: more than the two cores that Flower gives a client by default.
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
