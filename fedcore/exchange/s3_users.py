"""Users of an S3 exchange that is ours: one for each party, limited to what it may do.

The second door to S3, beside `s3.py`: this one speaks the IAM API (SeaweedFS's, started with
`-s3.iam.readOnly=false`) with the coordinator's credentials, and no party ever needs it.

A user may make further keys for itself: SeaweedFS allows that and knows no way to forbid it. So a
user is never mended but removed with all of its keys, which are dead at once, and made anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fedcore.errors import NotAllowed, NotThere, Unreachable
from fedcore.exchange.party_policy import Policy, party_policy
from fedcore.exchange.s3_answers import CREDENTIALS, silence
from fedcore.exchange.s3_line import plain_session

POLICY = "fedcore-party"
REGION = "us-east-1"
NO_IAM = (
    "this S3 server makes no users for us: let its owner make one for the party and give its keys "
    "with --exchange-credentials FILE"
)


@dataclass(frozen=True)
class Credentials:
    """A user's key pair; the secret stays out of every log."""

    access_key: str
    secret_key: str = field(repr=False)


def create_party_user(
    endpoint: str,
    environ: Mapping[str, str],
    bucket: str,
    party_id: str,
    runs: Sequence[str] = (),
) -> Credentials:
    """Make the party's user with a key of its own; one that is there is replaced.

    `runs` are the trainings that it may read; `environ` holds the coordinator's
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY [, AWS_CA_BUNDLE].
    Raises `NotAllowed` or `Unreachable`, each in one sentence.
    """
    iam, name = _Users(endpoint, environ), _name(party_id)
    iam.remove(name)
    iam.ask("create_user", UserName=name)
    iam.allow(name, party_policy(bucket, party_id, runs))
    made = iam.ask("create_access_key", UserName=name)["AccessKey"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"])


def let_read(
    endpoint: str, environ: Mapping[str, str], bucket: str, runs: Mapping[str, Sequence[str]]
) -> None:
    """Let the user of each party in `runs` read those trainings and no others; its keys stay.

    Raises `NotThere` if one has no user, `NotAllowed` or `Unreachable`.
    """
    iam = _Users(endpoint, environ)
    for party, some in runs.items():
        iam.allow(_name(party), party_policy(bucket, party, some))


def remove_party_user(endpoint: str, environ: Mapping[str, str], party_id: str) -> None:
    """Take the party's user away with all of its keys; quiet if there is none."""
    _Users(endpoint, environ).remove(_name(party_id))


class _Users:
    """The IAM API at an S3 endpoint."""

    def __init__(self, endpoint: str, environ: Mapping[str, str]) -> None:
        self._place = f"exchange {endpoint}"
        self._api = _api(endpoint, self._place, environ)

    def ask(self, verb: str, **details: str) -> Any:
        """Call the API's `verb`; its answer."""
        with self._translated(verb):
            call: Callable[..., Any] = getattr(self._api, verb)
            return call(**details)

    def allow(self, name: str, policy: Policy) -> None:
        """Give a user this policy in place of the one that it has."""
        document = json.dumps(policy)
        self.ask("put_user_policy", UserName=name, PolicyName=POLICY, PolicyDocument=document)

    def remove(self, name: str) -> None:
        """Take a user away; SeaweedFS keeps policies of users who are gone, so those go first."""
        self._quietly("delete_user_policy", UserName=name, PolicyName=POLICY)
        for key in self._quietly("list_access_keys", UserName=name).get("AccessKeyMetadata", []):
            self._quietly("delete_access_key", UserName=name, AccessKeyId=key["AccessKeyId"])
        self._quietly("delete_user", UserName=name)

    def _quietly(self, verb: str, **details: str) -> Any:
        """`ask`, content with that what is to go is not there."""
        try:
            return self.ask(verb, **details)
        except NotThere:
            return {}

    @contextlib.contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except ClientError as said:
            raise self._meaning(verb, said) from said
        except BotoCoreError as silent:
            raise silence(self._place, verb, type(silent).__name__) from silent

    def _meaning(self, verb: str, said: ClientError) -> NotThere | NotAllowed | Unreachable:
        code = str(said.response.get("Error", {}).get("Code", "no code"))
        status = said.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        what = f"{self._place}: {verb}: {code} ({status})"
        if code == "NoSuchEntity":
            return NotThere(what)
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
            return NotAllowed(f"{what}: {CREDENTIALS}")
        if status >= 500:
            return Unreachable(f"{what}: see that the server is well and has room")
        return NotAllowed(f"{what}: {NO_IAM}")


def _name(party_id: str) -> str:
    return f"party-{party_id}"


def _api(endpoint: str, place: str, environ: Mapping[str, str]) -> Any:
    user, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not user or not secret:
        raise NotAllowed(f"{place}: no credentials: {CREDENTIALS}")
    patience = Config(
        connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3}
    )
    return plain_session().client(
        "iam",
        endpoint_url=endpoint,
        aws_access_key_id=user,
        aws_secret_access_key=secret,
        region_name=REGION,
        verify=environ.get("AWS_CA_BUNDLE"),
        config=patience,
    )
