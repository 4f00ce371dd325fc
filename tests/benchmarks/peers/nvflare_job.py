"""The neutral work as a job of NVFlare: FedAvg over numpy arrays, a client script in the job."""

from __future__ import annotations

from pathlib import Path

from nvflare.client.config import ExchangeFormat
from nvflare.fuel.utils.constants import FrameworkType
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import ScriptRunner
from nvflare_parts import Marked

HERE = Path(__file__).resolve().parent
NAME = "neutral"
EAGER = 0.1


def job(parties: int, rounds: int, pace: str, marks: Path) -> FedJob:
    """The job, with the script in the client's own process, which is NVFlare's default.

    `pace` is `default` (a client without a task asks again after 2 s, the server looks every 0.5 s
    whether all have answered) or `eager` (0.1 s each).
    """
    made = FedJob(name=NAME, min_clients=parties)
    if pace == "eager":
        made.to_server(Marked(parties, rounds, str(marks), EAGER))
        made.to_server({"server": {"task_request_interval": EAGER}})
    else:
        made.to_server(Marked(parties, rounds, str(marks)))
    runner = ScriptRunner(
        script=str(HERE / "nvflare_client.py"),
        framework=FrameworkType.NUMPY,
        server_expected_format=ExchangeFormat.NUMPY,
    )
    made.to_clients(runner)
    return made
