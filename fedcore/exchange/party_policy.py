"""What a party may do in the exchange, as an S3 policy: write its own folder, read two.

It may create objects under `parties/ID/`, read and list these and `coordinator/`, and nothing else:
no other party's folder, no deleting, no bucket. SeaweedFS knows statements that allow, and no
condition on how an object is written. So its users can replace their own objects by other means
than fedcore's, which writes once; whoever reads then finds that hash or signature fails. On AWS
the policy forbids that, too.
"""

from __future__ import annotations

from typing import Any

Policy = dict[str, Any]
VERSION = "2012-10-17"


def party_policy(bucket: str, party_id: str) -> Policy:
    """The policy as SeaweedFS takes it; `party_id` is a plain id, without any wildcard."""
    own, shared = f"parties/{party_id}/*", "coordinator/*"
    place = f"arn:aws:s3:::{bucket}"
    return {
        "Version": VERSION,
        "Statement": [
            _allow(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{place}/{own}"]),
            _allow(["s3:GetObject"], [f"{place}/{own}", f"{place}/{shared}"]),
            {
                **_allow(["s3:ListBucket"], [place]),
                "Condition": {"StringLike": {"s3:prefix": [own, shared]}},
            },
        ],
    }


def aws_policy(bucket: str, party_id: str) -> Policy:
    """The same for AWS and servers that know all of its words: written once by force, too."""
    policy = party_policy(bucket, party_id)
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
