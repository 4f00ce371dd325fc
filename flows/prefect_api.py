"""Whether the Prefect API that somebody configured answers, before a flow relies on it."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request

from fedcore.errors import FedcoreError

PATIENCE_SECONDS = 10.0


def check_api(url: str) -> None:
    """Raise `FedcoreError` with a remedy unless something answers at Prefect's API at `url`.

    Any answer will do: one that asks for credentials or for a certificate is Prefect's own matter,
    and its client knows more of these than we do.
    """
    remedy = "start it, or unset PREFECT_API_URL to use a temporary one"
    try:
        with urllib.request.urlopen(_health(url), timeout=PATIENCE_SECONDS):  # noqa: S310 (https?)
            return
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError, http.client.HTTPException) as broken:
        reason = getattr(broken, "reason", broken)
        if isinstance(reason, ssl.SSLError):
            return
        said = getattr(reason, "strerror", None) or reason
        sentence = f"PREFECT_API_URL: no Prefect API answers at {url} ({said}): {remedy}"
        raise FedcoreError(sentence) from None


def _health(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("it is no http:// or https:// address")
    return f"{url.rstrip('/')}/health"
