"""A plain line to Prefect: what its client would prepare in vain is left out.

For each task that is submitted, Prefect's client reads all certificate authorities of the world
anew, 14 ms of a processor, also where it speaks plain http and needs none of them. Here it is given
a file that holds one.
"""

from __future__ import annotations

from pathlib import Path

import certifi

from fedcore.audit.durable import replace_with

END = "-----END CERTIFICATE-----\n"
FILE = "one-authority.pem"


def reach(url: str, home: str | None) -> dict[str, str]:
    """Variables with which a process reaches the API at `url`; `home` is a temporary server's."""
    spared = spare(url, Path(home)) if home is not None else {}
    return {"PREFECT_API_URL": url} | spared


def spare(url: str, folder: Path) -> dict[str, str]:
    """What spares Prefect's clients the authorities on a plain `url`; the file is in `folder`."""
    if not url.startswith("http://"):
        return {}
    path = folder / FILE
    first = Path(certifi.where()).read_text(encoding="ascii", errors="ignore").partition(END)[0]
    replace_with(path, [(first + END).encode("ascii")])
    return {"PREFECT_API_SSL_CERT_FILE": str(path)}
