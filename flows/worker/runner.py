"""What a worker's program needs before Prefect is imported: names, environment, a voice."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from fedcore.config.address import PLAIN_HTTP
from flows.plain_line import spare

# What Prefect's own parts in a flow process are set to, whatever the environment says.
SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_LOGGING_COLORS": "false",
}
# Of the worker's own environment a process is given this, and what its home names.
KEPT = (
    "HOME",
    "LANG",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    PLAIN_HTTP,
)
KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "LC_", "LD_LIBRARY_PATH", "MKL_", "OMP_", "XDG_")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def process_environ(environ: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a flow process may know: the machine's plain settings, and `own`; nothing else."""
    plain = {
        name: value
        for name, value in environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES) or name.lower() in PROXIES
    }
    return {**plain, **own, **SETTINGS}


def make_home(environ: MutableMapping[str, str]) -> None:
    """The folder of Prefect's own files, which only the worker's user may enter.

    On a plain line to Prefect, `environ` is told of what spares its clients a part of their work.
    """
    home = Path(environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in spare(environ["PREFECT_API_URL"], home).items():
        environ.setdefault(name, value)


def worker_name(label: str) -> str:
    """Machine and party: the same after a restart, another on another machine."""
    machine = socket.gethostname().split(".")[0] or "machine"
    return f"{machine}-{label}".replace("/", "-").replace("%", "-")


def source_root() -> Path:
    """Where `flows` can be imported from: the folder that its processes begin in."""
    return Path(__file__).resolve().parents[2]


def say(sentence: str) -> None:
    """A line for the journal of whoever started the worker."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")
    sys.stderr.flush()
