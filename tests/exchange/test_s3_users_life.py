"""How a party's user in a real SeaweedFS begins and ends, and what is said when it cannot."""

from __future__ import annotations

import pytest
from s3_users_story import access, store_of, user

from fedcore.errors import NotAllowed, NotThere, Unreachable
from fedcore.exchange.party_policy import aws_policy, party_policy
from fedcore.exchange.s3_users import (
    Credentials,
    create_party_user,
    let_read,
    remove_party_user,
)

pytestmark = pytest.mark.servers


def test_after_a_revocation_every_key_is_dead_at_once_also_one_made_in_secret(seaweedfs, ground):
    keys = user(seaweedfs, ground.bucket, "left")
    made = access(seaweedfs, "iam", keys).create_access_key()["AccessKey"]
    secret = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
    stores = [store_of(seaweedfs, ground.bucket, one) for one in (keys, secret)]
    for number, store in enumerate(stores):
        store.put_once(f"parties/left/r/{number}", b"still there")
    remove_party_user(seaweedfs.endpoint, seaweedfs.environ, "left")
    for number, store in enumerate(stores):
        with pytest.raises(NotAllowed):
            store.get(f"parties/left/r/{number}")
    remove_party_user(seaweedfs.endpoint, seaweedfs.environ, "left")


def test_after_a_rotation_the_new_key_works_and_no_older_one(seaweedfs, ground):
    old = user(seaweedfs, ground.bucket, "renewed")
    made = access(seaweedfs, "iam", old).create_access_key()["AccessKey"]
    new = create_party_user(seaweedfs.endpoint, seaweedfs.environ, ground.bucket, "renewed")
    for keys in (old, Credentials(made["AccessKeyId"], made["SecretAccessKey"])):
        with pytest.raises(NotAllowed):
            store_of(seaweedfs, ground.bucket, keys).keys("parties/renewed/")
    assert store_of(seaweedfs, ground.bucket, new).keys("parties/renewed/") == []


def test_what_it_may_read_changes_at_once_and_its_keys_stay(seaweedfs, ground):
    keys, other = (user(seaweedfs, ground.bucket, name) for name in ("member", "other"))
    store, others = (store_of(seaweedfs, ground.bucket, one) for one in (keys, other))
    for runs in (["r"], ["r2"], ["r", "r2"], []) * 3:
        let_read(
            seaweedfs.endpoint, seaweedfs.environ, ground.bucket, {"member": runs, "other": ["r2"]}
        )
        assert others.keys("coordinator/r2/") == ["coordinator/r2/x"]
        with pytest.raises(NotAllowed):
            others.keys("coordinator/r/")
        for run, key in (("r", "coordinator/r/a"), ("r2", "coordinator/r2/x")):
            if run in runs:
                assert store.get(key) == b"not yours"
                assert store.keys(f"coordinator/{run}/") == [key]
            else:
                with pytest.raises(NotAllowed):
                    store.get(key)
                with pytest.raises(NotAllowed):
                    store.keys(f"coordinator/{run}/")
    with pytest.raises(NotThere):
        let_read(seaweedfs.endpoint, seaweedfs.environ, ground.bucket, {"nobody": ["r"]})


def test_users_survive_a_kill_of_the_server(seaweedfs, ground):
    keys = user(seaweedfs, ground.bucket, "lasting")
    store = store_of(seaweedfs, ground.bucket, keys)
    store.put_once("parties/lasting/r/x", b"1")
    gone = user(seaweedfs, ground.bucket, "gone")
    remove_party_user(seaweedfs.endpoint, seaweedfs.environ, "gone")
    seaweedfs.kill()
    seaweedfs.start()
    assert store.get("parties/lasting/r/x") == b"1"
    with pytest.raises(NotAllowed):
        store.get("parties/b/r/x")
    with pytest.raises(NotAllowed):
        store_of(seaweedfs, ground.bucket, gone).keys("parties/gone/")


def test_errors_are_sentences_without_secrets(seaweedfs, ground):
    keys = user(seaweedfs, ground.bucket, "curious")
    mine = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    with pytest.raises(NotAllowed, match="--exchange-credentials FILE") as refused:
        create_party_user(seaweedfs.endpoint, mine, ground.bucket, "more")
    assert keys.secret_key not in str(refused.value) + repr(keys)
    with pytest.raises(NotAllowed, match="AWS_ACCESS_KEY_ID"):
        create_party_user(seaweedfs.endpoint, {}, ground.bucket, "more")
    with pytest.raises(Unreachable, match="see that the server runs"):
        remove_party_user("http://127.0.0.1:9", seaweedfs.environ, "more")


def test_on_aws_the_policy_also_forbids_to_replace_an_object():
    policy = aws_policy("lung", "a")
    plain = party_policy("lung", "a", ())["Statement"]
    assert policy["Statement"][0] == plain[0]
    read = policy["Statement"][1]["Resource"]
    assert read == [*plain[1]["Resource"], "arn:aws:s3:::lung/coordinator/*"]
    denied = [one for one in policy["Statement"] if one["Effect"] == "Deny"]
    assert denied[0]["Condition"]["Null"] == {"s3:if-none-match": "true"}
    granted = {word for one in policy["Statement"][:-1] for word in one["Action"]}
    assert not any("Delete" in word for word in granted)


def test_a_missing_object_is_not_there_rather_than_not_allowed(ground):
    with pytest.raises(NotThere):
        ground.store.get("coordinator/r/none")
