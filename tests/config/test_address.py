"""Where the parties meet: what is an S3 endpoint, what is a folder, and what is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.config.address import require_private
from fedcore.config.party import Address, parse_address
from fedcore.errors import InputError, PartyFileError
from fedcore.exchange.opening import open_store

FORMS = "write host:port or http(s)://host:port/bucket (S3), or a folder that all parties see"


@pytest.mark.parametrize("text", ["IP:PORT", "ip:port", "HOST:PORT", "<IP>:<PORT>", "host:<port>"])
def test_the_published_placeholder_is_recognised(text):
    with pytest.raises(PartyFileError) as refused:
        parse_address(text, "party.json")
    said = f"party.json: address is {text!r}: this is the placeholder: {FORMS}"
    assert str(refused.value) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:99999",
        "host:abc",
        "http://",
        "https:///bucket",
        "http://[::1",
        "http://host:99999/bucket",
        "http://host:1/bucket?x=1",
        "http://host:1/bucket#x",
        "s3://bucket",
        "ftp://host/bucket",
        "[::1]",
    ],
)
def test_what_is_neither_is_refused_with_the_forms(text):
    with pytest.raises(PartyFileError) as refused:
        parse_address(text, "party.json")
    assert str(refused.value).endswith(f": {FORMS}")
    assert str(refused.value).startswith("party.json: address is ")


@pytest.mark.parametrize("bucket", ["ab", "B_AD", "a/b", "-abc", "abc-", "x" * 64])
def test_a_bucket_that_no_store_would_take_is_refused(bucket):
    with pytest.raises(PartyFileError, match="name a bucket of 3 to 63 small letters"):
        parse_address(f"https://host:9000/{bucket}", "party.json")


def test_keys_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(PartyFileError, match="leave user and password out") as refused:
        parse_address("https://user:s3cret@host:9000/bucket", "party.json")
    assert "s3cret" not in str(refused.value)
    assert "user:" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "location", "bucket"),
    [
        ("10.0.0.1:9000", "http://10.0.0.1:9000", "fedcore"),
        ("localhost:8333", "http://localhost:8333", "fedcore"),
        ("store.example.org:443", "http://store.example.org:443", "fedcore"),
        ("[::1]:9000", "http://[::1]:9000", "fedcore"),
        ("https://store.example.org", "https://store.example.org", "fedcore"),
        ("https://store.example.org/", "https://store.example.org", "fedcore"),
        ("http://10.0.0.1:9000/chest", "http://10.0.0.1:9000", "chest"),
        ("https://store.example.org/chest/", "https://store.example.org", "chest"),
    ],
)
def test_an_endpoint_is_told_with_its_bucket(text, location, bucket):
    address = parse_address(text, "party.json")
    assert address == Address("s3", location, bucket)
    assert parse_address(str(address), "party.json") == address


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("./exchange", "./exchange"),
        ("exchange", "exchange"),
        ("/srv/exchange", "/srv/exchange"),
        ("file:///srv/exchange", "/srv/exchange"),
        ("../a b/c", "../a b/c"),
        ("C:\\exchange", "C:\\exchange"),
    ],
)
def test_a_path_is_a_folder(text, folder):
    address = parse_address(text, "party.json")
    assert address.kind == "folder"
    assert address.location == str(address) == folder


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_every_address_and_port_is_an_endpoint(host, port):
    assert parse_address(f"{host}:{port}", "") == Address("s3", f"http://{host}:{port}")


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_one_sentence(text):
    said = "party.json: "
    try:
        parse_address(text, "party.json")
    except PartyFileError as refused:
        said = str(refused)
    assert said.startswith("party.json: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:8333",
        "HTTP://exchange.example.org",
        "http://localhost.example.org",
        "http://128.0.0.1",
        "http://0.0.0.0:1",
        "http://[2001:db8::1]:80/api",
        "http://me:private@10.0.0.5/api",
        "http://",
    ],
)
def test_plain_http_beyond_this_machine_is_refused_with_the_remedy(url):
    for environ in ({}, {"FEDCORE_ALLOW_PLAIN_HTTP": "0"}, {"FEDCORE_ALLOW_PLAIN_HTTP": ""}):
        with pytest.raises(InputError, match=r"^settings: address is .*: .*write https://") as said:
            require_private(url, environ, "settings")
        assert "FEDCORE_ALLOW_PLAIN_HTTP=1" in str(said.value)
        assert "private" not in str(said.value)
    with pytest.raises(InputError, match="plain http"):
        open_store(Address("s3", url), {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})


@pytest.mark.parametrize(
    "url",
    [
        "https://exchange.example.org",
        "http://127.0.0.1:8333",
        "http://127.9.9.9",
        "http://localhost:4200/api",
        "http://store.localhost",
        "http://[::1]:9000",
        "sqlite:///mlflow.db",
    ],
)
def test_https_and_this_machine_itself_are_private(url):
    assert require_private(url, {}, "settings") == url


def test_plain_http_passes_where_somebody_says_so():
    url = "http://10.0.0.5:8333"
    assert require_private(url, {"FEDCORE_ALLOW_PLAIN_HTTP": "1"}, "settings") == url
