"""The decoders of repositories of versions: key files, configs, packs, index files, snapshots, trees, locks, marks.

What the store changed does not open at all; so each decoder is given what somebody would write who has the key.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from escale.backup.catalog import Catalog
from escale.backup.cipher import MasterKey
from escale.backup.config import Config, OtherVersion
from escale.backup.heads import SAVED, Head, client_of
from escale.backup.index import IndexFile
from escale.backup.keys import SCRYPT_MEMORY_MAX, SCRYPT_P_MAX, KeyFile
from escale.backup.locks import Claim
from escale.backup.moments import ns_of, text_of
from escale.backup.node import Node, NodeType
from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind, PackedBlob, encode_header, read_contents
from escale.backup.quoting import quoted, unquoted
from escale.backup.repository import Repository
from escale.backup.snapshot import Snapshot
from escale.backup.tree import decode_needs, decode_tree
from escale.errors import Corrupt
from escale.store.memory import MemoryStore
from tests.backup.versions_made import encode_tree

from .target import Target

KEY = MasterKey.of_bytes(bytes(range(64)))
ID = "ab" * 32
NODES = (
    Node(
        "file", NodeType.FILE, 0o644, 5, 5, 5, 1, 2, "u", "g", 7, 8, 100, 2, xattrs=(("user.a", b"b"),), content=(ID,)
    ),
    Node("dir", NodeType.DIRECTORY, 0o1755, -1, subtree=ID),
    Node('\udcff\n"\\', NodeType.LINK, 0o777, target="\udcff/../é"),
    Node("dev", NodeType.CHARACTER_DEVICE, 0o600, 2**62, device=259),
)
BLOBS = [PackedBlob(bytes(32), BlobKind.DATA, 0, 50), PackedBlob(bytes(32), BlobKind.TREE, 50, 70, 900)]
SNAPSHOT = Snapshot(ID, 5, ("/a", "/\udcff"), "anvil", "alice", 1, 2, ("*.o",), ("t",), ID, "p", (("original", ID),))
CLAIM = Claim(5, True, "anvil", "alice", 77, 1, 2, 3)
KEY_FILE = KeyFile("2026-01-01T00:00:00Z", "alice", "anvil", 2, 1, 1, bytes(64), KEY.seal(KEY.encode()))


SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = SIGNER.public_key().public_bytes_raw()
HEAD = Head(client_of(PUBLIC), 1, "", 5.5, "anvil", SAVED, (ID,), (ID,), PUBLIC.hex())


def tree(data: bytes) -> bool:
    """Corrupt, or nodes whose names and targets the system takes, and that can be written again."""
    with suppress(Corrupt):
        nodes = decode_tree(data, "here")
        for node in nodes:
            name = os.fsencode(node.name)
            assert name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
            assert b"\0" not in os.fsencode(node.target)
            assert 0 <= node.mode <= 0o7777 and 0 <= node.uid < 1 << 32 and 0 <= node.gid < 1 << 32
            for attribute, _ in node.xattrs:
                assert b"\0" not in os.fsencode(attribute)
            assert all(len(bytes.fromhex(blob)) == 32 for blob in (*node.content, node.subtree or ID))
        data_ids, tree_ids = decode_needs(data, "here")
        assert data_ids == {bytes.fromhex(blob) for node in nodes for blob in node.content}
        assert tree_ids == {bytes.fromhex(node.subtree) for node in nodes if node.subtree}
        again = decode_tree(encode_tree(nodes), "here")
        assert [node.name for node in again] == sorted((node.name for node in nodes), key=os.fsencode)
        return bool(nodes)
    return False


def index(data: bytes) -> bool:
    """Corrupt, or places that a catalog takes."""
    with suppress(Corrupt):
        found = IndexFile.decode(data, "here")
        assert IndexFile.decode(found.encode(), "here") == found
        catalog = Catalog(None)
        catalog.add(ID, found)
        assert catalog.packs() == set(found.packs)
        catalog.close()
        return bool(found.packs)
    return False


def snapshot(data: bytes) -> bool:
    """Corrupt, or a version that can be written again."""
    with suppress(Corrupt):
        found = Snapshot.decode(data, ID, "here")
        assert len(bytes.fromhex(found.tree)) == 32
        Snapshot.decode(found.encode(), ID, "here")
        return True
    return False


def claim(data: bytes) -> bool:
    """Corrupt, or a lock that can be written again."""
    with suppress(Corrupt):
        found = Claim.decode(data, "here")
        assert Claim.decode(found.encode(), "here").exclusive == found.exclusive
        return True
    return False


def config(data: bytes) -> bool:
    """Corrupt, another version, or the same when it is written again."""
    with suppress(Corrupt, OtherVersion):
        found = Config.decode(data, "here")
        assert Config.decode(found.encode(), "here") == found
        return True
    return False


def key_file(data: bytes) -> bool:
    """Corrupt, or one that takes no more than it may; opened where that is quick."""
    with suppress(Corrupt):
        found = KeyFile.decode(data, "here")
        assert 128 * found.n * found.r <= SCRYPT_MEMORY_MAX and found.p <= SCRYPT_P_MAX
        if 128 * found.n * found.r * found.p <= 1 << 20:
            found.open("password", "here")
        return True
    return False


def master_key(data: bytes) -> bool:
    """Corrupt, or a key."""
    with suppress(Corrupt):
        assert MasterKey.decode(data, "here").open(KEY.seal(b""), "here") == b""
        return True
    return False


def head(data: bytes) -> bool:
    """Corrupt, or what was signed: nobody makes a signature by chance."""
    with suppress(Corrupt):
        found = Head.decode(data, f"{HEAD.client}-0000000001", "here")
        assert replace(found, digest="") == HEAD
        return True
    return False


def sealed(data: bytes) -> bool:
    """Corrupt, for what is not the seed itself."""
    with suppress(Corrupt):
        assert KEY.open(data, "here") == b"clear"
        return True
    return False


def pack_end(data: bytes) -> bool:
    """The table of contents of a pack, sealed as it must be: Corrupt or blobs one after the other."""
    box = KEY.seal(data)
    with suppress(Corrupt):
        offset = 0
        for blob in read_contents(bytes(64) + box + struct.pack("<I", len(box)), KEY, "here"):
            assert blob.offset == offset and len(blob.id) == 32
            offset += blob.length
        return True
    return False


def pack(data: bytes) -> bool:
    """A pack that the store changed."""
    with suppress(Corrupt):
        read_contents(data, KEY, "here")
        return True
    return False


@cache
def _repository() -> Repository:
    return Repository(Objects(MemoryStore()), KEY, Config(ID), Catalog(None), MemoryStore)


def unpacked(data: bytes) -> bool:
    """What stands in an index or snapshot object before it is decoded: text, or compressed text."""
    repository = _repository()
    name = repository.objects.write(Kind.INDEX, KEY.seal(data))
    try:
        repository.read_unpacked(Kind.INDEX, name)
    except Corrupt:
        return False
    finally:
        repository.objects.delete(Kind.INDEX, name)
    return True


def quoted_name(data: bytes) -> bool:
    """ValueError, or a name that can be quoted again."""
    with suppress(ValueError):
        found = unquoted(data.decode("utf-8", "replace"))
        assert unquoted(quoted(found)) == found
        os.fsencode(found)
        return True
    return False


def moment(data: bytes) -> bool:
    """ValueError, or a time that can be said again, within the years that can be said."""
    with suppress(ValueError):
        ns = ns_of(data.decode("utf-8", "replace"))
        text_of(ns)
        return True
    return False


def _target(name: str, run: Callable[[bytes], bool], *seeds: bytes, **more: int) -> Target:
    return Target(f"backup-{name}", seeds, run, **more)  # type: ignore[arg-type]


_INDEX = IndexFile({ID: BLOBS}, (ID,)).encode()
TARGETS = (
    _target("tree", tree, encode_tree(NODES), examples=300),
    _target("index", index, _INDEX),
    _target("snapshot", snapshot, SNAPSHOT.encode(), examples=300),
    _target("lock", claim, CLAIM.encode(), b'{"time":"2026-11-01T12:34:56.5+01:00","pid":3}'),
    _target("config", config, Config(ID).encode()),
    _target("key-file", key_file, KEY_FILE.encode(), mib=1100),
    _target("master-key", master_key, KEY.encode()),
    _target("head", head, HEAD.encode(SIGNER)),
    _target("sealed", sealed, KEY.seal(b"clear")),
    _target("pack-end", pack_end, encode_header(BLOBS), examples=300),
    _target("pack", pack, b"".join((box := KEY.seal(encode_header(BLOBS)), struct.pack("<I", len(box))))),
    _target("unpacked", unpacked, _INDEX, b"\2" + zstandard.compress(_INDEX)),
    _target("name", quoted_name, rb"a\"b\\c\xff\u00a0\U0010ffff\n\101", "é€😀".encode(), examples=300),
    _target("moment", moment, b"2026-11-01T12:34:56.123456789+05:30", b"0000-02-29T00:00:00Z", b"9999-12-31T23:59:59Z"),
)
