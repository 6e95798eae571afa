"""S3Store: what the contract does not say, against moto and rclone."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.loaders import JSONFileLoader
from botocore.session import Session

from escale.errors import ConfigError, NoRelaySpace, NoSuchRelay, SecretError, TooLarge, Unreachable
from escale.store.s3 import PART, S3Store
from escale.store.s3_words import translated
from escale.testing.contracts import MIB, SourceFailed, Stream, as_file

from ..contracts.test_contract_s3 import s3_store
from ..servers import Proxy, Relay, Server
from .spoiler import Spoiler

pytestmark = pytest.mark.real("moto_locked")


@pytest.fixture
def relay(server: Callable[[str], Server]) -> Relay:
    return server("moto_locked").relay()


@pytest.fixture
def store(relay: Relay) -> S3Store:
    return s3_store(relay)


@pytest.fixture
def spoiler(relay: Relay) -> Iterator[Spoiler]:
    with Spoiler(relay.port) as running:
        yield running


@pytest.fixture
def spoiled(relay: Relay, spoiler: Spoiler) -> S3Store:
    return s3_store(through(relay, spoiler.port))


def through(relay: Relay, port: int) -> Relay:
    return replace(relay, options={**relay.options, "endpoint_url": f"http://127.0.0.1:{port}"})


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 7])
def test_sizes_around_a_part(store: S3Store, size: int) -> None:
    source = Stream(size)
    assert store.put("name", as_file(source)) == size
    assert hashlib.sha256(store.read_bytes("name")).digest() == source.digest.digest()
    info = store.info("name")
    assert info is not None
    assert info.size == size


def test_another_store_does_not_read_the_description_of_the_protocol_again(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving and restoring open several: each would take 50 ms and 17 MiB."""
    with s3_store(relay) as first:
        assert list(first.list()) == []
    read: list[str] = []
    original = JSONFileLoader.load_file

    def noted(self: JSONFileLoader, file_path: str) -> object:
        read.append(file_path)
        return original(self, file_path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    with s3_store(relay) as second:
        assert list(second.list()) == []
    assert [path for path in read if "/s3/" in path] == []


def test_threads_share_a_client_that_is_closed_with_the_last_of_them(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    make, close = Session.create_client, BaseClient.close

    def noted_make(self: Session, *args: Any, **more: Any) -> Any:
        happened.append("made")
        return make(self, *args, **more)

    def noted_close(self: BaseClient) -> None:
        happened.append("closed")
        close(self)

    monkeypatch.setattr(Session, "create_client", noted_make)
    monkeypatch.setattr(BaseClient, "close", noted_close)
    stores = [store, *(store.another() for _ in range(7))]
    start = threading.Barrier(len(stores))

    def write(number: int) -> None:
        start.wait(60)
        stores[number].write_bytes(f"name-{number}", b"content")

    with ThreadPoolExecutor(len(stores)) as pool:
        [*pool.map(write, range(len(stores)))]
    assert len([*store.list()]) == len(stores)
    for each in stores[:-1]:
        each.close()
        each.close()
    assert stores[-1].read_bytes("name-0") == b"content"
    assert happened == ["made"]
    stores[-1].close()
    assert happened == ["made", "closed"]
    assert store.read_bytes("name-7") == b"content"
    assert happened == ["made", "closed", "made"]
    store.close()


def test_small_blob_is_one_request(spoiled: S3Store, spoiler: Spoiler) -> None:
    spoiled.write_bytes("name", b"content")
    assert spoiled.create("lock", b"mine")
    assert spoiler.requests == ["PUT", "PUT"]


def test_failing_source_leaves_no_parts(store: S3Store, relay: Relay) -> None:
    with pytest.raises(SourceFailed):
        store.put("name", as_file(Stream(5 * PART, fails_at=3 * PART)))
    assert unfinished(store) == []
    assert list(store.list()) == []


def test_broken_line_ends_an_upload_without_reading_on(relay: Relay, proxy: Callable[..., Proxy]) -> None:
    between = proxy(relay.port)
    store = s3_store(through(relay, between.port))
    store.write_bytes("name", b"old")
    between.cut_after(10 * MIB)
    source = Stream(200 * MIB)
    with pytest.raises(Unreachable):
        store.put("name", as_file(source))
    assert source.given < 150 * MIB
    assert store.read_bytes("name") == b"old"


def test_cut_download_is_unreachable(relay: Relay, proxy: Callable[..., Proxy]) -> None:
    between = proxy(relay.port)
    store = s3_store(through(relay, between.port))
    store.put("name", as_file(Stream(20 * MIB)))
    between.cut_after(5 * MIB)
    with pytest.raises(Unreachable):
        store.read_bytes("name")


def test_sweep_aborts_unfinished_uploads_of_directories_below(store: S3Store) -> None:
    assert store.guarantees.sweeps_below
    below = store.within("data/ab")
    store._connected().create_multipart_upload(Bucket=store.bucket, Key=below._key("name"))
    assert store.sweep(older_than_s=0) == 1
    assert unfinished(store) == []


def test_sweep_aborts_unfinished_uploads(store: S3Store) -> None:
    client = store._connected()
    client.create_multipart_upload(Bucket=store.bucket, Key=store._key("name"))
    # Whenever it began, moto says that it was in 2010.
    assert store.sweep(older_than_s=100 * 365 * 86400) == 0
    assert len(unfinished(store)) == 1
    assert store.sweep(older_than_s=3600) == 1
    assert unfinished(store) == []


@pytest.mark.parametrize("status", [500, 503, 0])
def test_unclear_creation_is_read_back(spoiled: S3Store, spoiler: Spoiler, status: int) -> None:
    spoiler.answers["PUT"] = (status, b"")
    assert spoiled.create("lock", b"mine") is True
    spoiler.answers["PUT"] = (status, b"")
    assert spoiled.create("lock", b"yours") is False


def test_other_prefixes_stay_invisible(relay: Relay, store: S3Store) -> None:
    outer = s3_store(replace(relay, directory=relay.directory.partition("/")[0]))
    outer.write_bytes("outside", b"x")
    store.write_bytes("inside", b"x")
    assert [blob.name for blob in store.list()] == ["inside"]
    assert [blob.name for blob in outer.list()] == ["outside"]


def test_make_relay(server: Callable[[str], Server]) -> None:
    store = s3_store(server("moto_locked").relay_at("new-bucket-1/relay"))
    with pytest.raises(NoSuchRelay):
        store.info("name")
    store.make_relay()
    store.make_relay()
    assert store.info("name") is None


@pytest.mark.real("rclone_s3")
def test_wrong_keys(server: Callable[[str], Server]) -> None:
    relay = server("rclone_s3").relay()
    for wrong in (replace(relay, user="NOBODY"), replace(relay, password="wrong")):
        with pytest.raises(SecretError):
            s3_store(wrong).write_bytes("name", b"content")


def test_nobody_listens(relay: Relay) -> None:
    with pytest.raises(Unreachable):
        list(s3_store(through(relay, 1)).list())


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (507, "InsufficientStorage", NoRelaySpace),
        (400, "XMinioStorageFull", NoRelaySpace),
        (403, "QuotaExceeded", NoRelaySpace),
        (400, "EntityTooLarge", TooLarge),
        (413, "413", TooLarge),
        (403, "SignatureDoesNotMatch", SecretError),
        (403, "RequestTimeTooSkewed", SecretError),
        (503, "SlowDown", Unreachable),
        (400, "RequestTimeout", Unreachable),
        (404, "NoSuchBucket", NoSuchRelay),
    ],
)
def test_answers_in_our_words(status: int, code: str, kind: type[Exception]) -> None:
    answer = {"Error": {"Code": code, "Message": "so it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert type(translated("s3://bucket", "name", answer)) is kind


def test_unknown_option() -> None:
    with pytest.raises(ConfigError, match="adressing_style"):
        S3Store("bucket", options={"adressing_style": "path"})


def unfinished(store: S3Store) -> list[object]:
    return [*store._connected().list_multipart_uploads(Bucket=store.bucket).get("Uploads", ())]
