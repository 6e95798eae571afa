"""The blob store contract on S3 servers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from escale.store.s3 import S3Store
from escale.testing.contracts import MIB, BlobStoreContract, OpenStore

from ..servers import Relay, Server


def s3_store(relay: Relay) -> S3Store:
    bucket, _, prefix = relay.directory.partition("/")
    return S3Store(
        bucket,
        prefix,
        endpoint_url=relay.options["endpoint_url"],
        region=relay.options["region_name"],
        access_key=relay.user,
        secret_key=relay.password,
    )


class S3Contract(BlobStoreContract):
    server_name: str
    # Parts of 8 MiB have to be in memory, and some of them at the same time.
    memory_max = 48 * MIB

    @pytest.fixture
    def open_store(self, server: Callable[[str], Server]) -> OpenStore:
        relay = server(self.server_name).relay()
        # rclone remembers directories, so one that was made behind its back is not there yet.
        s3_store(relay).make_relay()
        return partial(s3_store, relay)

    @pytest.fixture
    def store(self, open_store: OpenStore) -> S3Store:
        return open_store()

    @pytest.fixture
    def no_relay(self, server: Callable[[str], Server]) -> S3Store:
        return s3_store(server(self.server_name).relay_at("no-such-bucket/relay"))


@pytest.mark.real("moto_locked")
class TestMoto(S3Contract):
    server_name = "moto_locked"
    # It decodes "%41" and "?" in keys once more than it should.
    test_awkward_names = None


@pytest.mark.real("rclone_s3")
class TestRclone(S3Contract):
    server_name = "rclone_s3"
    # It ignores conditions: the probe finds that out, and the relay is locked by listing instead.
    test_create_takes_a_free_name_only = None
    test_create_within_a_directory = None
    test_create_race_has_one_winner = None
    test_instances_see_each_other_at_once = None
    # A reader meets new bytes cut to the old length: 8 of 400 reads, measured.
    moves_in_steps = True
