"""A child process together with all that it started: ended as a whole.

Sessions decode in worker processes and Prefect's wrapper runs a web server; both lead a process
group of their own, so that nothing of them is left when they are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def end_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process that leads a group, and of all that it started.

    The group outlives its leader, so this is right for a process that has just been found dead.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it
        os.killpg(process.pid, signal.SIGKILL)


def end_own_group(code: int) -> None:
    """End this process and, where it leads a group, all that it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(code)
