"""What the doctor tries out for a party's home: its files, and each way out of the hospital.

Where something cannot be reached, the line says what to ask the network team for: host, port,
direction and protocol. Nothing of a credential is shown.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from fedcore.audit.signing import SigningKey
from fedcore.errors import FedcoreError
from flows import doctor_machine, doctor_services
from flows.doctor_finding import Finding, lacking, well
from flows.party.home import PartyHome
from flows.party.start import checked_environ

PATIENCE = 8.0  # seconds for one answer
MOST_SKEW = 120.0  # seconds; S3 refuses what is a quarter of an hour off
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Way:
    """A way out of the hospital: what it leads to, and what it is for the network team."""

    name: str
    url: str
    protocol: str

    @property
    def request(self) -> str:
        """What to ask the network team for."""
        parts = urlsplit(self.url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        return (
            f"ask the network team to allow outbound TCP from this machine to host {parts.hostname}"
            f" port {port} ({self.protocol} over {parts.scheme}; nothing inbound)"
        )


def look(home: Path) -> Iterator[Finding]:
    """All findings on the home, the quick ones first."""
    try:
        place = PartyHome.load(home)
        environ = checked_environ(place)
        ledger = place.membership(SigningKey.load(place.key_path))
    except FedcoreError as fault:
        yield lacking("party home", str(fault))
        return
    yield well("party home", f"{place.home}: {place.label}, key, secrets, policy and data folder")
    yield certificates(place)
    yield doctor_machine.disk(place.home)
    if place.exchange.kind == "s3":
        way = Way("exchange line", place.exchange.location, "S3")
        yield from _line(place, way, lambda answer: answer.status_code < 500)
    yield from doctor_services.exchange_of(place.exchange, place.party_id, environ, ledger)
    way = Way("prefect line", f"{place.prefect_url.rstrip('/')}/health", "HTTP")
    yield from _line(place, way, lambda answer: answer.status_code == httpx.codes.OK)
    yield own_pool(place, environ)


def certificates(place: PartyHome) -> Finding:
    """Whether `ca.pem`, where there is one, can be used."""
    if place.ca is None:
        return well("certificates", "the system's; put a ca.pem into the home to trust another")
    try:
        known = ssl.create_default_context(cafile=str(place.ca)).cert_store_stats()["x509_ca"]
    except (ssl.SSLError, OSError) as broken:
        remedy = "ask the coordinator for its ca.pem in PEM form"
        return lacking("certificates", f"{place.ca}: cannot be used ({broken}): {remedy}")
    return well("certificates", f"{place.ca}: authorities in it: {known}")


def _line(
    place: PartyHome, way: Way, answers: Callable[[httpx.Response], bool]
) -> Iterator[Finding]:
    """Whether the other end is reached and is who it says, and whether the clocks agree."""
    try:
        answer = httpx.get(way.url, timeout=PATIENCE, verify=_trusted(place))
    except httpx.HTTPError as broken:
        yield lacking(way.name, _unreached(way, broken))
        return
    if not answers(answer):
        said = f"{way.url}: answers with status {answer.status_code}"
        yield lacking(way.name, f"{said}: tell the coordinator")
        return
    yield well(way.name, f"{way.url} is reached")
    yield clock(way, answer.headers.get("Date"), datetime.datetime.now(datetime.UTC))


def clock(way: Way, told: str | None, now: datetime.datetime) -> Finding:
    """Whether this machine's clock agrees with the other end's."""
    name = way.name.replace("line", "clock")
    try:
        theirs = parsedate_to_datetime(told or "")
    except ValueError:
        return well(name, "the other end does not tell the time")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=datetime.UTC)
    skew = (now - theirs).total_seconds()
    if abs(skew) > MOST_SKEW:
        remedy = "set it by a time server (NTP, outbound UDP port 123), or tell the coordinator"
        ahead = "ahead of" if skew > 0 else "behind"
        return lacking(name, f"this machine is {abs(skew):.0f} s {ahead} {way.url}: {remedy}")
    return well(name, f"{abs(skew):.0f} s apart")


def own_pool(place: PartyHome, environ: Mapping[str, str]) -> Finding:
    """Whether Prefect takes the party's credential and has a pool for its worker."""
    url = f"{place.prefect_url.rstrip('/')}/work_pools/{place.pool}"
    user, _, secret = environ["PREFECT_API_AUTH_STRING"].partition(":")
    try:
        answer = httpx.get(
            url, timeout=PATIENCE, verify=_trusted(place), auth=httpx.BasicAuth(user, secret)
        )
    except httpx.HTTPError as broken:
        return lacking("work pool", f"{place.pool} could not be asked for ({_brief(broken)})")
    if answer.status_code in {401, 403}:
        remedy = "ask the coordinator to run fedcore party rotate, and join with the new kit"
        return lacking("work pool", f"Prefect refuses this party's credential: {remedy}")
    if answer.status_code != httpx.codes.OK:
        remedy = "ask the coordinator to invite this party again"
        return lacking("work pool", f"there is no pool {place.pool}: {remedy}")
    return well("work pool", f"{place.pool} is there, and the credential is taken")


def _trusted(place: PartyHome) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(place.ca) if place.ca else None)


def _unreached(way: Way, broken: httpx.HTTPError) -> str:
    said = _brief(broken)
    if "CERTIFICATE" in said.upper():
        remedy = "ask the coordinator for its ca.pem, or the network team whether a proxy opens TLS"
        return f"{way.url}: its certificate is not trusted ({said}): {remedy}"
    return f"{way.url}: not reached ({said}): {way.request}"


def _brief(broken: Exception) -> str:
    return (str(broken).splitlines() or [type(broken).__name__])[0][:120] or type(broken).__name__
