"""What a person is told about the hub: addresses, how the services are, what to do next."""

from __future__ import annotations

from flows.cli_screen import Screen
from flows.hub import registry
from flows.hub.home import Hub
from flows.hub.running import keeper_note, keeper_runs, states
from flows.hub.services import services


def show_running(hub: Hub, screen: Screen) -> None:
    """Where everything is, once it runs; secrets by their place, never by value."""
    pair = hub.secrets.pair("prefect")
    screen.title(f"The hub in {hub.home} runs")
    rows: list[list[object]] = [
        ["exchange", str(hub.exchange), "hospitals write and read there"],
        ["Prefect", hub.settings.url("prefect"), "flows, schedules, workers"],
        ["MLflow", hub.mlflow_url, "runs, comparisons, models"],
    ]
    screen.table(["what", "address", "for"], rows)
    screen.say()
    screen.say(f"Name and password for both pages: {pair.name}, and the secret in")
    screen.say(f"  {hub.secrets.path} (fields prefect and mlflow; readable by you alone)")
    screen.say(f"Logs: {hub.home / 'logs'}")
    screen.title("Next")
    home = f"--home {hub.home}"
    screen.say(f"  fedcore party invite NAME {home}   a kit for a hospital, to be sent to it")
    screen.say(f"  fedcore status {home}              how everything is")
    screen.say(f"  fedcore down {home}                end it; nothing is lost")
    screen.title("For the commands prefect and mlflow in your shell")
    screen.say(f"  set -a; . {hub.environ_path}; set +a")


def show_status(hub: Hub, screen: Screen) -> bool:
    """A line for each service and each party; whether all services answer."""
    found = states(hub, services(hub))
    for state in found:
        screen.mark(state.answers, state.word, state.describe())
    kept, process = keeper_runs(hub), keeper_note(hub).process
    if kept and process is not None:
        screen.mark(True, "runs", f"keeper: pid {process.pid}")
    else:
        screen.mark(False, "dead", f"keeper: run fedcore up --home {hub.home}")
    for party in registry.entries(hub):
        screen.say(f"party {party.party_id} ({party.role}): {party.status}")
    return kept and all(state.answers for state in found)
