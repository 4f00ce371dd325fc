"""The neutral work as an app of Flower: one ServerApp and one ClientApp, for both ways to run it.

Deployed, the settings are the run's configuration; `scored` evaluates each round's model at every
client as well, which is Flower's default, otherwise the clients train alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from neutral import mark, model, perturbed, require_all, require_rounds

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
    """Flower's own FedAvg over all parties, which notes when each round begins."""

    def __init__(self, parties: int, scored: bool, marks: Path) -> None:
        super().__init__(
            fraction_evaluate=float(scored),
            min_train_nodes=parties,
            min_evaluate_nodes=parties,
            min_available_nodes=parties,
        )
        self.parties, self.scored, self.marks = parties, scored, marks

    def configure_train(self, server_round: int, *given: object) -> Iterable[Message]:
        mark(self.marks)
        return super().configure_train(server_round, *given)

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple:
        return super().aggregate_train(server_round, self._all_of(replies, self.parties))

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> object:
        asked = self.parties if self.scored else 0
        return super().aggregate_evaluate(server_round, self._all_of(replies, asked))

    def _all_of(self, replies: Iterable[Message], asked: int) -> list[Message]:
        found = list(replies)
        reasons = [str(one.error) for one in found if one.has_error()]
        require_all(len(found) - len(reasons), asked, "; ".join(reasons))
        return found


@server.main()
def main(grid: Grid, context: Context) -> None:
    serve(grid, context.run_config)


def serve(grid: Grid, given: Mapping) -> None:
    """All rounds; the last mark is the end of the last."""
    marks, rounds = Path(given["marks"]), given["rounds"]
    strategy = Marked(given["parties"], given["scored"], marks)
    result = strategy.start(grid=grid, initial_arrays=_record(model()), num_rounds=rounds)
    require_rounds({name: array.numpy() for name, array in result.arrays.items()}, rounds)
    mark(marks)


def _record(arrays: dict) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _metrics() -> MetricRecord:
    return MetricRecord({"loss": 0.5, "accuracy": 0.75, "num-examples": 10})
