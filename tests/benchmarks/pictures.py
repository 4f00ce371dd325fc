r"""Take the pictures of docs/pictures again, from a real run.

    fedcore demo --folder demo
    python tests/benchmarks/pictures.py demo

`demo` is the folder of one or more finished trainings; the newest one is shown. Chromium is
needed. MLflow and Prefect are started on free ports of this machine and ended afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictures_browser import Browser
from typed import options

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
BIN = Path(sys.executable).parent
PATIENCE = 240.0
# Light colours; without MLflow's assistant and the buttons that lie over a chart under the mouse.
AS_SHOWN = """
localStorage.setItem('color-scheme', '"light"');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '.modebar {display: none !important}';
  document.head.append(style);
});
"""
CHARTS = "document.querySelectorAll('svg.main-svg').length > 5"


@dataclass(frozen=True)
class Training:
    """A finished training of the demo, and where its two pages are served."""

    output: Path
    mlflow: str
    prefect: str

    @property
    def run(self) -> str:
        """The run's name."""
        return f"demo-{self.output.name}"


def main() -> None:
    """Serve both pages, take all pictures, end what was started."""
    parser = options(__doc__)
    parser.add_argument("demo", type=Path, help="the folder of fedcore demo")
    parser.add_argument("--to", type=Path, default=PICTURES, help="where the pictures go")
    given = parser.parse_args()
    demo = given.demo.resolve()
    given.to.mkdir(parents=True, exist_ok=True)
    with _mlflow(demo) as mlflow, _prefect(newest(demo)) as prefect, Browser() as browser:
        browser.before(AS_SHOWN)
        training = Training(newest(demo), mlflow, prefect)
        for take in (report, mlflow_runs, mlflow_curves, prefect_run):
            take(browser, training, given.to / f"{take.__name__.replace('_', '-')}.png")
            print(f"{take.__name__} is taken")


def newest(demo: Path) -> Path:
    """The last training in the folder that has finished."""
    done = [path.parent for path in demo.glob("training-*/finished")]
    return max(done, key=lambda path: int(path.name.removeprefix("training-")))


def report(browser: Browser, training: Training, to: Path) -> None:
    """The top of report.html."""
    browser.size(1100, 900)
    page = (training.output / "report.html").as_uri()
    browser.open(page, "document.readyState === 'complete' && document.images", "the report")
    browser.settle()
    browser.save(to)


def mlflow_runs(browser: Browser, training: Training, to: Path) -> None:
    """All trainings with their parties side by side."""
    browser.size(1500, 700)
    page = f"{training.mlflow}/#/experiments/{_experiment(training)}/runs"
    browser.open(page, _shows(training.run), "the list of runs")
    browser.click("Model training")
    browser.open(f"{page}?compareRunsMode=CHART", CHARTS, "the charts of all runs")
    browser.settle()
    browser.save(to)


def mlflow_curves(browser: Browser, training: Training, to: Path) -> None:
    """The curves of one training."""
    experiment, run = _experiment(training), _parent_run(training)
    browser.size(1500, 900)
    page = f"{training.mlflow}/#/experiments/{experiment}/runs/{run}/model-metrics"
    browser.open(page, CHARTS, "the curves")
    browser.settle()
    browser.save(to)


def prefect_run(browser: Browser, training: Training, to: Path) -> None:
    """The tasks of one training's first rounds along time."""
    browser.size(1500, 560)
    page = f"{training.prefect}/runs/flow-run/{_flow_run(training)}"
    browser.open(page, _shows(training.run), "the flow run")
    browser.settle()
    browser.zoom(300, 285, turns=8)
    browser.settle()
    browser.save(to)


def _shows(text: str) -> str:
    return f"document.body.innerText.includes({text!r})"


def _experiment(training: Training) -> str:
    url = f"{training.mlflow}/api/2.0/mlflow/experiments/get-by-name?experiment_name=demo"
    return str(_asked(url)["experiment"]["experiment_id"])


def _parent_run(training: Training) -> str:
    wanted = {
        "experiment_ids": [_experiment(training)],
        "filter": f"attributes.run_name = '{training.run}'",
    }
    runs = _asked(f"{training.mlflow}/api/2.0/mlflow/runs/search", wanted)["runs"]
    return str(runs[0]["info"]["run_id"])


def _flow_run(training: Training) -> str:
    wanted = {"flow_runs": {"name": {"any_": [training.run]}}, "sort": "START_TIME_DESC"}
    return str(_asked(f"{training.prefect}/api/flow_runs/filter", wanted)[0]["id"])


@contextlib.contextmanager
def _mlflow(demo: Path) -> Iterator[str]:
    store = f"sqlite:///{demo / 'mlflow.db'}"
    port = _free_port()
    command = [BIN / "mlflow", "ui", "--port", port, "--backend-store-uri", store]
    with _served(command, {}, f"http://127.0.0.1:{port}", "/health") as url:
        yield url


@contextlib.contextmanager
def _prefect(training: Path) -> Iterator[str]:
    home = {"PREFECT_HOME": str(training / ".fedcore" / "prefect")}
    port = _free_port()
    api = {"PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    command = [BIN / "prefect", "server", "start", "--port", port]
    with _served(command, home | api, f"http://127.0.0.1:{port}", "/api/health") as url:
        yield url


@contextlib.contextmanager
def _served(command: list[Any], environ: dict[str, str], url: str, health: str) -> Iterator[str]:
    """Start a server in a process group of its own, wait for it, end the group afterwards."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | environ | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(url + health, process)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{url} does not answer")
        time.sleep(0.3)


def _asked(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
