"""Objects: what comes back is what its name tells, and what is no object is not listed."""

from __future__ import annotations

import hashlib
import io

import pytest

from escale.backup.objects import Kind, Objects
from escale.errors import Corrupt, EscaleError, Missing
from escale.store.directory import DirectoryStore
from escale.store.memory import MemoryStore


@pytest.fixture(params=["memory", "directory"])
def objects(request, tmp_path) -> Objects:
    return Objects(MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path))


def raw(objects: Objects, kind: Kind, name: str):
    return objects.store.within(f"data/{name[:2]}" if kind is Kind.PACK else kind.value)


@pytest.mark.parametrize("kind", Kind)
def test_an_object_is_named_by_its_bytes(objects, kind):
    name = objects.write(kind, b"some bytes")
    assert name == hashlib.sha256(b"some bytes").hexdigest()
    assert objects.write(kind, b"some bytes") == name
    assert objects.write_view(kind, memoryview(b"some bytes")) == name
    assert objects.read(kind, name) == b"some bytes"
    assert objects.read_part(kind, name, 5, 3) == b"byt"
    assert [blob.name for blob in objects.list(kind)] == [name]
    assert objects.info(kind, name).size == 10
    objects.delete(kind, name)
    objects.delete(kind, name)
    assert objects.info(kind, name) is None
    assert [*objects.list(kind)] == []


@pytest.mark.parametrize("kind", Kind)
def test_what_is_not_there(objects, kind):
    assert [*objects.list(kind)] == []
    assert objects.info(kind, "ab" * 32) is None
    for ask in (objects.read, objects.read_damaged, lambda kind, name: objects.read_part(kind, name, 0, 1)):
        with pytest.raises(EscaleError) as caught:
            ask(kind, "ab" * 32)
        assert isinstance(caught.value, Missing), caught.value


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("data", [b"other bytes", b"some byte", b"", b"some bytes and more"])
def test_what_is_not_what_its_name_tells(objects, kind, data):
    name = objects.write(kind, b"some bytes")
    raw(objects, kind, name).put(name, io.BytesIO(data))
    with pytest.raises(Corrupt, match=name[:12]):
        objects.read(kind, name)
    assert objects.read_damaged(kind, name) == data


def test_a_part_that_is_not_whole(objects):
    name = objects.write(Kind.PACK, b"some bytes")
    with pytest.raises(Corrupt):
        objects.read_part(Kind.PACK, name, 5, 6)
    with pytest.raises(Corrupt):
        objects.read_part(Kind.PACK, name, 1 << 31, 1)


@pytest.mark.parametrize("kind", Kind)
def test_what_looks_like_no_object_is_not_listed(objects, kind):
    name = objects.write(kind, b"some bytes")
    for other in ("readme", name[:-1], name.upper(), f"{name}.bak", f".{name}"):
        raw(objects, kind, name).put(other, io.BytesIO(b"x"))
    assert [blob.name for blob in objects.list(kind)] == [name]


def test_a_pack_in_the_directory_of_another_does_not_count(objects):
    """Nobody would find it there."""
    name = objects.write(Kind.PACK, b"some bytes")
    elsewhere = "00" if name[:2] != "00" else "01"
    objects.store.within(f"data/{elsewhere}").put(name, io.BytesIO(b"some bytes"))
    assert [blob.name for blob in objects.list(Kind.PACK)] == [name]
    objects.delete(Kind.PACK, name)
    assert [*objects.list(Kind.PACK)] == []


@pytest.mark.parametrize("name", ["", "config", "../config", "AB" * 32, "ab" * 31])
def test_what_is_no_name_is_our_own_mistake(objects, name):
    for kind in Kind:
        with pytest.raises(ValueError, match="not the name"):
            objects.read(kind, name)


def test_the_config_is_written_once(objects):
    with pytest.raises(Missing):
        objects.read_config()
    assert objects.write_config(b"first")
    assert not objects.write_config(b"second")
    assert objects.read_config() == b"first"


def test_what_is_ours_lies_beside(objects):
    objects.extra("heads").put("one", io.BytesIO(b"x"))
    assert objects.store.within("x-escale/heads").read_bytes("one", 10) == b"x"
    assert not any([*objects.list(kind)] for kind in Kind)
