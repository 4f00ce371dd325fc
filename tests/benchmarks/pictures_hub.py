r"""Take the pictures of a hub's two pages: the graph of a training, and two trainings compared.

    fedcore up
    (two hospitals that joined, and two trainings that have ended: docs/coordinator.md)
    python tests/benchmarks/pictures_hub.py ./coordinator xray-1 xray-2

The hub must run. Its secrets are read from its folder and go to the browser alone: as the word
that Prefect's page keeps for itself, and as a header for MLflow.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from typed import options

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pictures import AS_SHOWN, PICTURES  # noqa: E402
from pictures_browser import Browser  # noqa: E402

from flows.hub import pools  # noqa: E402
from flows.hub.home import Hub  # noqa: E402

SIDE_BY_SIDE = "document.body.innerText.includes('Comparing')"


def main() -> None:
    """Take both pictures."""
    parser = options(__doc__)
    parser.add_argument("home", type=Path, help="the hub's folder")
    parser.add_argument("runs", nargs=2, help="the names of two trainings that have ended")
    parser.add_argument("--to", type=Path, default=PICTURES, help="where the pictures go")
    parser.add_argument(
        "--zoom", nargs=3, type=int, default=(880, 330, 6), help="x, y and turns: where rounds lie"
    )
    given = parser.parse_args()
    hub = Hub.load(given.home)
    given.to.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        browser.take_any_certificate()
        browser.before(AS_SHOWN + _word_for_prefect(hub))
        prefect_graph(browser, hub, given.runs[0], given.zoom, given.to)
        mlflow_compare(browser, hub, given.runs, given.to)


def prefect_graph(browser: Browser, hub: Hub, run: str, zoom: Sequence[int], folder: Path) -> None:
    """The graph of a deployed training: its tasks along time."""
    with pools.connected(hub.prefect_environ()) as api:
        wanted = {"flow_runs": {"name": {"any_": [run]}}}
        found = api.request("POST", "/flow_runs/filter", json=wanted).json()
    browser.size(1500, 620)
    page = f"{hub.settings.url('prefect')}/runs/flow-run/{found[0]['id']}"
    browser.open(page, f"document.body.innerText.includes({run!r})", "the flow run")
    browser.settle()
    browser.zoom(*zoom)
    browser.settle()
    browser.save(folder / "prefect-graph.png")


def mlflow_compare(browser: Browser, hub: Hub, runs: Sequence[str], folder: Path) -> None:
    """Two trainings side by side."""
    os.environ.update(hub.mlflow_environ())
    from mlflow import MlflowClient  # noqa: PLC0415  (reads the environment)

    client = MlflowClient()
    everywhere = [one.experiment_id for one in client.search_experiments()]
    found = [one for one in client.search_runs(everywhere) if one.info.run_name in runs]
    ids = json.dumps([one.info.run_id for one in found])
    experiments = json.dumps(sorted({one.info.experiment_id for one in found}))
    pair = hub.secrets.pair("mlflow")
    browser.introduce(pair.name, pair.secret)
    browser.size(1500, 900)
    page = f"{hub.mlflow_url}/#/compare-runs?runs={quote(ids)}&experiments={quote(experiments)}"
    browser.open(page, SIDE_BY_SIDE, "the comparison")
    browser.settle()
    browser.save(folder / "mlflow-compare.png")


def _word_for_prefect(hub: Hub) -> str:
    """A script that signs Prefect's page in, on that page alone."""
    place, word = hub.settings.url("prefect"), hub.secrets.pair("prefect").auth_string
    signed_in = f"localStorage.setItem('prefect-password', btoa({word!r}))"
    return f"if (location.origin === {place!r}) {signed_in};\n"


if __name__ == "__main__":
    main()
