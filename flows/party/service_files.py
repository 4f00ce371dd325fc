"""How a hospital's worker is kept running: a systemd unit and a container file, made for its home.

Both start `fedcore party start`, which reads its secrets from the home: none is in these files.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

UNIT = "fedcore-party.service"
CONTAINER = "Containerfile"
IGNORE = ".containerignore"


def texts(home: Path, party_id: str) -> dict[str, str]:
    """The files by name, for the party's home."""
    return {
        UNIT: unit(home, party_id, Path(sys.executable).parent / "fedcore", getpass.getuser()),
        CONTAINER: container(party_id),
        IGNORE: "*\n!fedcore-*.whl\n",
    }


def unit(home: Path, party_id: str, command: Path, user: str) -> str:
    """A system unit: restarts the worker without end, and lets it write in the home alone."""
    return f"""\
# The worker of party {party_id}. To install it:
#     sudo cp {home}/{UNIT} /etc/systemd/system/
#     sudo systemctl daemon-reload && sudo systemctl enable --now {UNIT}
# What it says: journalctl --unit {UNIT}
[Unit]
Description=fedcore worker of party {party_id}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={user}
WorkingDirectory={str(home).replace("%", "%%")}
ExecStart={_argument(command)} party start --home {_argument(home)}
Environment={_word(f"XDG_CACHE_HOME={home / 'worker' / 'cache'}")}
Restart=always
RestartSec=15
# The first signal lets a session end its wait; nothing is lost if it does not come to that.
KillMode=mixed
TimeoutStopSec=120
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={_word(str(home))}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""


def container(party_id: str) -> str:
    """An image with fedcore alone: the home is mounted, and nothing of it is in the image."""
    return f"""\
# The worker of party {party_id} as a container. Put fedcore's wheel (fedcore-*.whl) into this
# folder; {IGNORE} keeps everything else of it out of the image.
#     podman build --tag fedcore-party --file {CONTAINER} .
#     podman run --detach --restart always --name fedcore-party --userns keep-id:uid=10001 \\
#         --volume "$PWD":/party --volume /path/to/images:/party/data:ro fedcore-party
# A data folder outside the home is mounted at the path that party_config.json names.
FROM python:3.11-slim
RUN useradd --uid 10001 --create-home fedcore
COPY fedcore-*.whl /tmp/
RUN wheel="$(ls /tmp/fedcore-*.whl)" && pip install --no-cache-dir "$wheel[flows,party]" && \\
    rm /tmp/fedcore-*.whl
USER fedcore
WORKDIR /party
VOLUME ["/party"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["fedcore", "party", "start", "--home", "/party"]
"""


def _word(text: str) -> str:
    """One word as systemd reads it: `%` begins a specifier, a space would end it."""
    plain = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _argument(path: Path) -> str:
    """A word of a command line, where `$` begins a variable, too."""
    return _word(str(path)).replace("$", "$$")
