"""The neutral work in NVFlare's POC: `python nvflare_poc.py PARTIES ROUNDS default|eager MARKS`.

Run by the Python of NVFlare's own environment. `nvflare poc prepare` and `nvflare poc start` make
the server and the clients, over mutual TLS on 127.0.0.1; the administrator's session hands in the
job and waits for its end.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from neutral import note
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session
from nvflare_job import NAME, job
from processes import nothing_left

ADMIN = "admin@nvidia.com"
# A server of this name listens on 127.0.0.1 alone; one of any other name on every address.
SERVER = "localhost"
DONE = "FINISHED:COMPLETED"
LIGHTER = "nvflare.lighter.impl"


def main() -> None:
    parties, rounds, pace, marks = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="nv-") as name, nothing_left():
        folder = Path(name)
        os.environ |= {"HOME": name, "NVFLARE_POC_WORKSPACE": str(folder / "poc")}
        prepare(int(parties), folder)
        made = job(int(parties), int(rounds), pace, Path(marks))
        made.export_job(str(folder / "jobs"))
        note(Path(marks), "started")
        poc("start")
        session = new_secure_session(ADMIN, str(folder / "poc" / NAME / "prod_00" / ADMIN))
        try:
            note(Path(marks), "submitted")
            run(session, folder)
        finally:
            session.close()
            show_logs(folder)


def prepare(parties: int, folder: Path) -> None:
    """Keys, certificates and start scripts of everybody, as for any project of one's own."""
    project = folder / "project.yml"
    project.write_text(json.dumps(described(parties)), "utf-8")
    poc("prepare", "--force", "-i", str(project))


def run(session: Session, folder: Path) -> None:
    """Hand in the job, wait for its end, and end this process unless it is a good one."""
    number = session.submit_job(str(folder / "jobs" / NAME))
    session.monitor_job(number)
    if (status := session.get_job_status(number)) != DONE:
        sys.exit(f"NVFlare's job ended as {status}")


def poc(*words: str) -> None:
    """`nvflare poc ...` of this environment."""
    command = [Path(sys.executable).with_name("nvflare"), "poc", *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def described(parties: int) -> dict:
    """NVFlare's default project with a server of another name and a free port; YAML reads JSON."""
    admin = {"name": ADMIN, "type": "admin", "org": "nvidia", "role": "project_admin"}
    server = {"name": SERVER, "type": "server", "org": "nvidia", "default_host": SERVER}
    sites = [
        {"name": f"site-{number}", "type": "client", "org": "nvidia"}
        for number in range(1, parties + 1)
    ]
    templates = ["master_template.yml", "aws_template.yml", "azure_template.yml"]
    return {
        "api_version": 3,
        "name": NAME,
        "description": "the neutral work",
        "participants": [{**server, "fed_learn_port": free_port()}, admin, *sites],
        "builders": [
            {"path": f"{LIGHTER}.workspace.WorkspaceBuilder", "args": {"template_file": templates}},
            {
                "path": f"{LIGHTER}.static_file.StaticFileBuilder",
                "args": {"config_folder": "config"},
            },
            {"path": f"{LIGHTER}.cert.CertBuilder"},
            {"path": f"{LIGHTER}.signature.SignatureBuilder"},
        ],
    }


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def show_logs(folder: Path) -> None:
    """The end of a client's log and of the server's, which are gone with the folder."""
    for name in ("site-1", SERVER):
        log = folder / "poc" / NAME / "prod_00" / name / "poc_console.log"
        print(log, log.read_text("utf-8", "replace")[-1800:], sep="\n")


if __name__ == "__main__":
    main()
