"""What is noticed of a page that goes back, and what is not because honest clients leave it like that."""

from __future__ import annotations

import pytest

from escale.relay.format1 import Format1
from escale.relay.relay import Blob, IndexRelay, PageView
from escale.relay.witness import LEFT_MAX, Seen
from escale.seal import NoSeal
from escale.store.memory import MemoryStore
from escale.testing.faults import Crash, Fuse, HookedStore
from tests.simulation.machines import memory_directory
from tests.world import Machine, World

ALICE, BOB = "a" * 16, "b" * 16


def index(generation: int, unique: int = 1) -> str:
    return f"0.index.{generation:010d}-{unique:016x}"


def stamp(moment: int, client: str = ALICE) -> str:
    return f"{moment:020d}-{client}"


def named(moment: int, generation: int = 0, client: str = ALICE) -> str:
    return f"0.update.{stamp(moment, client)}.{generation:010d}-{generation:016x}"


def data(moment: int, client: str = ALICE) -> str:
    return f"0.data.{stamp(moment, client)}"


def view(*names: str) -> PageView:
    """What a relay that holds these blobs shows of page 0."""
    return IndexRelay(MemoryStore(blobs=dict.fromkeys(names, (b"", 0.0))), Format1(), NoSeal()).look("0")


def told(*looks: tuple[str, ...]) -> list[str]:
    """What the last of these looks contradicts."""
    seen = Seen()
    for names in looks[:-1]:
        seen = seen.after(view(*names))
    return seen.contradictions(view(*looks[-1]))


GOES_BACK = {
    "the index is gone": [(index(5),), ()],
    "the index is older": [(index(5),), (index(4),)],
    "one of two generations is gone and nothing is newer": [(index(5), index(5, 2)), (index(5),)],
    "an index is there again": [(index(5),), (index(6),), (index(5), index(6))],
    "the newest index returns after a backup was restored": [
        (index(9),),
        (index(5),),
        (index(6, 2),),
        (index(6, 2), index(9)),
    ],
    "an update is there again": [(named(1), data(1)), (), (named(1), data(1))],
    "the data of an update is there again": [(named(1), data(1)), (), (data(1),)],
    "an older update of the same client, which we never saw": [(named(2), data(2)), (named(1), data(1))],
    "a registration is gone": [(named(1), named(1, 1), data(1)), (named(1), data(1))],
}


@pytest.mark.parametrize("looks", GOES_BACK.values(), ids=GOES_BACK.keys())
def test_what_cannot_be_is_told_in_one_sentence_and_once(looks):
    (sentence,) = told(*looks)
    assert "\n" not in sentence
    assert told(*looks, looks[-1]) == []


LAWFUL = {
    "a page that was never looked at": [(index(9), named(1), data(1))],
    "the next generation": [(index(5),), (index(6),)],
    "a writer that was interrupted before it removed the old one": [(index(5),), (index(5), index(6))],
    "both are merged": [(index(5), index(6)), (index(7),)],
    "two writers at once": [(index(5),), (index(6), index(6, 2)), (index(7),)],
    "a writer that slept while others went on": [(index(5),), (index(9),), (index(9), index(6, 2)), (index(10),)],
    "an update is received by all": [(index(5), named(1), data(1)), (index(6),)],
    "it is removed, name before content": [(named(1), named(1, 1), data(1)), (named(1, 1), data(1)), (data(1),), ()],
    "the next update": [(named(1), data(1)), (named(2), data(2))],
    "an update of a client whose clock is behind": [(named(5), data(5)), (), (named(3, client=BOB), data(3, BOB))],
    "half an update of a client that died, and its next": [(data(1),), (), (named(2), data(2))],
    "the name of an update whose pusher slept after its data": [(data(1),), (), (named(1),)],
    "a registration": [(named(1), data(1)), (named(1), named(1, 1), data(1))],
}


@pytest.mark.parametrize("looks", LAWFUL.values(), ids=LAWFUL.keys())
def test_what_honest_clients_do_is_not_told(looks):
    assert told(*looks) == []


def test_the_ledger_gives_back_what_it_was_given_and_nothing_of_another_relay():
    seen = Seen().after(view(index(5), named(1), data(1), named(7, client=BOB))).after(view(index(6), named(2)))
    text = seen.encode("this relay")
    assert Seen.decode(text, "this relay") == seen
    assert Seen.decode(text, "another relay") == Seen.decode(None, "this relay") == Seen()


def test_what_is_remembered_does_not_grow_for_ever():
    seen = Seen()
    for generation in range(1, 1000):
        seen = seen.after(view(index(generation), named(generation), data(generation)))
    assert len(seen.left) == LEFT_MAX and len(seen.newest) == 1
    assert len(seen.encode("relay")) < 8000
    for client in range(1000):
        seen = seen.after(view(named(client + 1, client=f"{client:016x}")))
    assert len(seen.encode("relay")) < 40_000


def test_blobs_of_other_pages_and_locks_are_not_remembered():
    page = view(index(1), "0.lock", "0123456789abcdef.index.0000000001-0123456789abcdef")
    assert all(isinstance(blob, Blob) for blob in page.locks) and len(page.locks) == 1
    assert Seen().after(page).names == {index(1)}


@pytest.mark.parametrize("levels", [0, 1])
@pytest.mark.parametrize("exclusive", [True, False], ids=["create", "listing"])
def test_an_honest_relay_is_never_accused(levels, exclusive):
    """GIVEN three clients whose work overlaps, and who die in the middle of it and come again
    WHEN they edit, delete and sync for many passes
    THEN nobody says that the relay has gone back."""
    with memory_directory() as directory:
        world = World(directory, levels=levels, exclusive=exclusive)
        machines = [world.machine(name, deletes=True) for name in ("alice", "bob", "carol")]
        deaths = 0
        for turn in range(36):
            machine = machines[turn % 3]
            machine.write(f"d{turn % 4}/f{turn % 5}.txt", f"written in turn {turn} by {machine.name}")
            if turn % 5 == 4:
                sorted(machine.folder.rglob("*.txt"))[0].unlink()
            deaths += dies(machine, turn % 7) if turn % 4 == 3 else 0
            machine.sync()
            machines[turn % 2].sync()
            world.clock.advance(turn * 100)
        world.settle(16)
        assert machines[0].files() == machines[1].files() == machines[2].files() != {}
        assert deaths > 3
        assert [event for machine in machines for event in machine.events if event.type == "problem"] == []
        world.close()


def dies(machine: Machine, changes: int) -> bool:
    """Whether a process ended at its n-th change of the relay, for good."""
    machine.stop()
    machine.wrap = lambda store: HookedStore(store, Fuse(changes))
    try:
        machine.sync()
        return False
    except Crash:
        return True
    finally:
        machine.stop()
        machine.wrap = lambda store: store
