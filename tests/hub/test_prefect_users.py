"""A party's credential for Prefect: kept as a hash, replaced and removed at once."""

from __future__ import annotations

import pytest

from flows.hub.home import Hub
from flows.hub.prefect_users import Users, add_user, remove_user, users_path
from flows.hub.secret_store import Pair


@pytest.fixture
def place(tmp_path) -> Hub:
    return Hub.create(tmp_path / "hub")


def pair(auth: str) -> Pair:
    return Pair(*auth.split(":", 1))


def test_nobody_is_known_before_somebody_is_added(place):
    assert not Users(users_path(place)).knows(Pair("party-1", ""))
    assert not Users(users_path(place)).knows(Pair("", ""))


def test_a_wrong_secret_or_name_is_not_known(place):
    right = pair(add_user(place, "1"))
    users = Users(users_path(place))
    assert users.knows(right)
    assert not users.knows(Pair(right.name, right.secret + "x"))
    assert not users.knows(Pair("party-2", right.secret))


def test_a_new_secret_replaces_the_old_one_and_leaves_others_alone(place):
    users = Users(users_path(place))
    old, other = pair(add_user(place, "1")), pair(add_user(place, "2"))
    assert users.knows(old)
    new = pair(add_user(place, "1"))
    assert (users.knows(new), users.knows(old), users.knows(other)) == (True, False, True)


def test_who_is_removed_is_out_at_once(place):
    users, given = Users(users_path(place)), pair(add_user(place, "1"))
    assert users.knows(given)
    remove_user(place, "1")
    remove_user(place, "1")
    assert not users.knows(given)


def test_no_secret_lies_on_the_disk(place):
    given = pair(add_user(place, "1"))
    assert given.secret not in users_path(place).read_text()
    assert users_path(place).stat().st_mode & 0o077 == 0
