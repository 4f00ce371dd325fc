"""What a party's user in a real SeaweedFS may do, and all that it may not."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fedcore.errors import Conflict, NotAllowed
from fedcore.exchange.party_policy import party_policy

pytestmark = pytest.mark.servers
NUMBERS = itertools.count()
REFUSED = {400, 403, 405}
PART = b"x" * (5 << 20)


def status(call: Callable[[], object]) -> int:
    """What the server answers: 200, or the refusal's number."""
    try:
        call()
    except ClientError as said:
        return said.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


def test_a_party_writes_reads_and_lists_what_is_its_own(ground, tmp_path):
    ground.store.put_once("parties/a/r/hello.json", b"me")
    ground.store.put_once("parties/a/r/hello.json", b"me")
    assert ground.store.get("parties/a/r/hello.json") == b"me"
    assert ground.store.size("parties/a/r/hello.json") == 2
    assert not ground.store.exists("parties/a/r/missing")
    assert "parties/a/r/hello.json" in ground.store.keys("parties/a/")
    with pytest.raises(Conflict):
        ground.store.put_once("parties/a/r/hello.json", b"another")


def test_a_party_reads_and_lists_what_the_coordinator_says_in_its_training(ground):
    assert ground.store.get("coordinator/r/a") == b"not yours"
    assert ground.store.keys("coordinator/r/") == ["coordinator/r/a"]
    assert not ground.store.exists("coordinator/r/missing")


def test_a_large_file_goes_up_in_parts_and_stays_as_it_was_written_first(ground, tmp_path):
    (tmp_path / "large").write_bytes(b"1" * (33 << 20))
    ground.store.put_file_once("parties/a/r/large", tmp_path / "large")
    (tmp_path / "large").write_bytes(b"2" * (33 << 20))
    with pytest.raises(Conflict):
        ground.store.put_file_once("parties/a/r/large", tmp_path / "large")
    assert ground.store.get_range("parties/a/r/large", 0, 1) == b"1"


def test_an_upload_in_parts_can_be_looked_at_gone_on_with_and_given_up(ground):
    place = {"Bucket": ground.bucket, "Key": "parties/a/r/parts"}
    upload = {**place, "UploadId": ground.s3.create_multipart_upload(**place)["UploadId"]}
    ground.s3.upload_part(**upload, PartNumber=1, Body=PART)
    assert len(ground.s3.list_parts(**upload)["Parts"]) == 1
    assert status(lambda: ground.s3.abort_multipart_upload(**upload)) == 200
    assert not ground.store.exists("parties/a/r/parts")


def test_who_may_not_see_the_bucket_is_told_so(ground):
    with pytest.raises(NotAllowed):
        ground.store.prepare()


FOREIGN = ["coordinator/r2/x", "parties/b/r/x", "parties/ab/r/x", "elsewhere/x", "x"]
SNEAKING = [
    "parties/a/../b/r/x",
    "parties/a/%2e%2e/b/r/x",
    "parties/a/..%2fb/r/x",
    "coordinator/../parties/b/r/x",
    "parties//b/r/x",
    "/parties/b/r/x",
    "parties/a/r/../../b/r/x",
]


@pytest.mark.parametrize("key", FOREIGN)
def test_what_is_not_its_own_cannot_be_read_written_deleted_or_copied(ground, key):
    place, s3 = {"Bucket": ground.bucket, "Key": key}, ground.s3
    own = {"Bucket": ground.bucket, "Key": f"parties/a/r/copy-{key.replace('/', '-')}"}
    source = f"{ground.bucket}/{key}"
    upload = ground.admin.create_multipart_upload(**place)["UploadId"]
    tries = {
        "get": lambda: s3.get_object(**place),
        "head": lambda: s3.head_object(**place),
        "put": lambda: s3.put_object(**place, Body=b"1"),
        "delete": lambda: s3.delete_object(**place),
        "copy from": lambda: s3.copy_object(**own, CopySource=source),
        "copy to": lambda: s3.copy_object(**place, CopySource=f"{ground.bucket}/coordinator/r/a"),
        "tags": lambda: s3.get_object_tagging(**place),
        "acl": lambda: s3.put_object_acl(**place, ACL="public-read"),
        "upload": lambda: s3.create_multipart_upload(**place),
        "part": lambda: s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"1"),
        "parts": lambda: s3.list_parts(**place, UploadId=upload),
        "abort": lambda: s3.abort_multipart_upload(**place, UploadId=upload),
        "finish": lambda: s3.complete_multipart_upload(**place, UploadId=upload),
    }
    answers = {name: status(act) for name, act in tries.items()}
    assert set(answers.values()) <= REFUSED, answers
    assert ground.admin.get_object(**place)["Body"].read() == b"not yours"
    assert not ground.store.exists(own["Key"])


def test_a_part_cannot_be_copied_from_another_party(ground):
    own = {"Bucket": ground.bucket, "Key": "parties/a/r/part-copy"}
    upload = ground.s3.create_multipart_upload(**own)["UploadId"]
    more = {"UploadId": upload, "PartNumber": 1, "CopySource": f"{ground.bucket}/parties/b/r/x"}
    assert status(lambda: ground.s3.upload_part_copy(**own, **more)) in REFUSED


@pytest.mark.parametrize(
    "spelling",
    [
        "{}%2Fparties/b/r/x",
        "{}%2Fparties%2Fb%2Fr%2Fx",
        "%2F{}%2Fparties%2Fb%2Fr%2Fx",
        "{}/parties/a/..%2Fb/r/x",
        "{}/parties/a/%2e%2e/b/r/x",
        "{}/%70arties/b/r/x",
        "{}//parties/b/r/x",
        "{}%252Fparties%2Fb%2Fr%2Fx",
    ],
)
def test_no_spelling_of_a_source_copies_what_is_not_its_own(ground, spelling):
    """SeaweedFS takes a wholly quoted source for none: it then writes an empty object."""
    own = {"Bucket": ground.bucket, "Key": f"parties/a/r/copy-{next(NUMBERS)}"}
    status(lambda: ground.s3.copy_object(**own, CopySource=spelling.format(ground.bucket)))
    assert not ground.store.exists(own["Key"]) or ground.store.get(own["Key"]) == b""


@pytest.mark.parametrize("key", SNEAKING)
def test_no_spelling_of_a_key_leads_elsewhere(ground, key):
    place = {"Bucket": ground.bucket, "Key": key}
    assert status(lambda: ground.s3.get_object(**place)) in REFUSED | {404}
    ground_before = ground.admin.list_objects_v2(Bucket=ground.bucket, Prefix="parties/b/")
    status(lambda: ground.s3.put_object(**place, Body=b"planted"))
    ground_after = ground.admin.list_objects_v2(Bucket=ground.bucket, Prefix="parties/b/")
    assert [one["ETag"] for one in ground_after["Contents"]] == [
        one["ETag"] for one in ground_before["Contents"]
    ]


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "p",
        "parties",
        "parties/",
        "parties/a",
        "parties/b/",
        "parties/ab/",
        "elsewhere/",
        "c",
        "coordinator/",
        "coordinator/r",
        "coordinator/r2/",
    ],
)
def test_only_its_own_folder_and_its_trainings_can_be_listed(ground, prefix):
    place = {"Bucket": ground.bucket, "Prefix": prefix}
    assert status(lambda: ground.s3.list_objects_v2(**place)) == 403
    assert status(lambda: ground.s3.list_objects(**place)) == 403
    assert status(lambda: ground.s3.list_object_versions(**place)) == 403
    assert status(lambda: ground.s3.list_multipart_uploads(**place)) == 403


@pytest.mark.parametrize("prefix", ["parties/a/../b/", "coordinator/r/../", "parties/a/../"])
def test_a_listing_does_not_climb(ground, prefix):
    found = ground.s3.list_objects_v2(Bucket=ground.bucket, Prefix=prefix)
    assert found.get("Contents", []) == []


def test_nothing_of_its_own_can_be_deleted(ground):
    key = "parties/a/r/kept"
    ground.store.put_once(key, b"kept")
    place = {"Bucket": ground.bucket, "Key": key}
    assert status(lambda: ground.s3.delete_object(**place)) == 403
    many = {"Objects": [{"Key": key}, {"Key": "parties/b/r/x"}]}
    said = ground.s3.delete_objects(Bucket=ground.bucket, Delete=many)
    assert {one["Code"] for one in said["Errors"]} == {"AccessDenied"}
    assert "Deleted" not in said
    assert ground.store.get(key) == b"kept"


def test_an_object_that_is_called_public_is_not(ground, seaweedfs):
    place = {"Bucket": ground.bucket, "Key": "parties/a/r/public"}
    status(lambda: ground.s3.put_object(**place, Body=b"1", ACL="public-read"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{seaweedfs.endpoint}/{ground.bucket}/parties/a/r/public")
    assert refused.value.code == 403


BUCKET_VERBS: dict[str, dict[str, Any]] = {
    "head_bucket": {},
    "delete_bucket": {},
    "get_bucket_policy": {},
    "delete_bucket_policy": {},
    "put_bucket_policy": {"Policy": json.dumps(party_policy("x", "a", ["r"]))},
    "put_bucket_acl": {"ACL": "public-read"},
    "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "put_bucket_cors": {
        "CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    },
    "put_bucket_lifecycle_configuration": {
        "LifecycleConfiguration": {
            "Rules": [{"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]
        }
    },
}


@pytest.mark.parametrize("verb", BUCKET_VERBS)
def test_the_bucket_itself_is_out_of_reach(ground, verb):
    assert status(lambda: getattr(ground.s3, verb)(Bucket=ground.bucket, **BUCKET_VERBS[verb])) == (
        403
    )


def test_no_other_bucket_can_be_made_seen_or_used(ground):
    assert status(lambda: ground.s3.create_bucket(Bucket="of-my-own")) == 403
    assert ground.s3.list_buckets()["Buckets"] == []
    elsewhere = {"Bucket": "ready", "Key": "parties/a/x"}
    assert status(lambda: ground.s3.put_object(**elsewhere, Body=b"1")) == 403


def test_a_party_makes_no_user_and_changes_no_right(ground):
    everything = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
    )
    iam, me = ground.iam, {"UserName": "party-a"}
    tries = {
        "users": iam.list_users,
        "make a user": lambda: iam.create_user(UserName="more"),
        "key of another": lambda: iam.create_access_key(UserName="admin"),
        "keys of another": lambda: iam.list_access_keys(UserName="admin"),
        "rights": lambda: iam.put_user_policy(
            **me, PolicyName="fedcore-party", PolicyDocument=everything
        ),
        "policy": lambda: iam.create_policy(PolicyName="more", PolicyDocument=everything),
        "attach": lambda: iam.attach_user_policy(**me, PolicyArn="arn:aws:iam:::policy/more"),
        "rename": lambda: iam.update_user(**me, NewUserName="admin2"),
        "leave": lambda: iam.delete_user(**me),
    }
    assert {name: status(act) for name, act in tries.items()} == dict.fromkeys(tries, 403)
