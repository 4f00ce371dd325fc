"""What a party may do in the exchange, as an S3 policy: write its own folder, read what is for it.

It may create objects under `parties/ID/`, read and list these and `coordinator/RUN/` of the
trainings that it is a member of, and nothing else: no other training, no other party's folder, no
deleting, no bucket. SeaweedFS knows statements that allow, and no
condition on how an object is written. So its users can replace their own objects by other means
than fedcore's, which writes once; whoever reads then finds that hash or signature fails. On AWS
the policy forbids that, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedcore.exchange import keys

Policy = dict[str, Any]
VERSION = "2012-10-17"


def party_policy(bucket: str, party_id: str, runs: Sequence[str]) -> Policy:
    """The policy as SeaweedFS takes it, with the trainings `runs` that the party may read.

    `party_id` and `runs` are plain ids, without any wildcard.
    """
    return _policy(bucket, party_id, [f"{keys.coordinator_folder(run)}*" for run in runs])


def _policy(bucket: str, party_id: str, shared: list[str]) -> Policy:
    own, place = f"parties/{party_id}/*", f"arn:aws:s3:::{bucket}"
    read = [own, *shared]
    return {
        "Version": VERSION,
        "Statement": [
            _allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{place}/{own}"]),
            _allow(["s3:GetObject"], [f"{place}/{key}" for key in read]),
            {
                **_allow(["s3:ListBucket"], [place]),
                "Condition": {"StringLike": {"s3:prefix": read}},
            },
        ],
    }


def aws_policy(bucket: str, party_id: str) -> Policy:
    """The same for AWS and servers that know all of its words: written once by force, too.

    Its owner sets it once and by hand, and AWS takes 2,048 characters: so it names no trainings,
    and the party may read all of `coordinator/`.
    """
    policy = _policy(bucket, party_id, ["coordinator/*"])
    own = [f"arn:aws:s3:::{bucket}/parties/{party_id}/*"]
    return {
        **policy,
        "Statement": [
            *policy["Statement"],
            _allow(["s3:ListMultipartUploadParts"], own),
            {
                "Effect": "Deny",
                "Action": ["s3:PutObject"],
                "Resource": own,
                # Parts of an upload create no object: only what does must be conditional.
                "Condition": {
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            },
        ],
    }


def _allow(actions: list[str], places: list[str]) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": places}
