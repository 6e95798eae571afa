"""3.4: several at the same time: readers and writers of one page, and clients that come and go meanwhile.

S66, a collection of garbage beside a writer of equal chunks, has no counterpart: content is not shared between updates.
"""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from .trio import conflict_copies, noise

RACES = 2
"""How often a race is run: a sample, for the order is left to chance."""

BUSY = (0, 11)
"""One that lost a race for a lock may say so."""


def _lock(t, owner, mode):
    """A lock as somebody leaves it who dies, as the protocol describes it."""
    path = t.place.relay.path / "0.lock"
    path.write_text(json.dumps({"owner": owner, "mode": mode, "nonce": "ab" * 16, "lease_s": 0}))
    return path


def _killed_with_lock(t, member, prepare):
    """Kill passes of this member until one leaves a lock behind; `prepare(n)` makes work for each."""
    for attempt in range(20):
        prepare(attempt)
        if member.pass_killed_when(lambda: t.place.has("lock")) and t.place.has("lock"):
            return
    raise AssertionError("no death left a lock")


def test_s65_many_pullers_at_once(trio):
    """GIVEN an update WHEN four pullers take it at the same instant THEN all have it, and the last takes it away."""
    t = trio()
    d, e = t.join("d"), t.join("e")
    t.begin({"f": "before"})
    for number in range(RACES):
        t.a.put("f", noise(f"edit {number}", 50_000 + number))
        t.a.once()
        for ending in t.at_once(t.b, t.c, d, e):
            ending.expect(0)
        assert all(member.read("f") == t.a.read("f") for member in t.members)
        assert not t.place.has("data"), "all have it"
        t.settle()


def test_s65_a_pusher_waits_for_a_reader(trio):
    """GIVEN a reader that holds the page WHEN A pushes THEN A waits, writes nothing, and goes on when the reader is
    done."""
    t = trio()
    t.begin({"f": "before"})
    lock = _lock(t, "b", "r")
    t.a.put("f", "edited on A")
    started = t.a.start_pass()
    before = t.place.names()
    gone = threading.Timer(0.7, lock.unlink)
    gone.start()
    while lock.exists():
        assert t.place.names() in (before, [name for name in before if name != lock.name])
    t.a.finish_pass(started).expect(0)
    gone.join()
    assert t.contents() == {"f": b"edited on A"}


def test_s65_a_lock_does_not_keep_contents_from_readers(trio):
    """GIVEN an update and somebody's lock WHEN B comes THEN B has the content although it cannot register yet."""
    t = trio()
    t.begin({"f": "before"})
    t.a.put("f", "edited on A")
    t.a.once()
    lock = _lock(t, "somebody", "w")
    started = t.b.start_pass()
    while t.b.read("f") == b"before":
        assert started[0].code() is None, started[0].output()
    assert lock.exists()
    assert t.place.has("data"), "not registered"
    lock.unlink()
    t.b.finish_pass(started).expect(0)
    assert t.contents() == {"f": b"edited on A"}


@pytest.mark.parametrize("mode", ["r", "w"])
def test_s65_a_lock_of_the_dead_is_broken(clocks, trio, mode):
    """GIVEN a lock whose owner never comes back WHEN others have watched it for `lock timeout` THEN they go on; and
    whose clock is ahead breaks no lock that it sees for the first time."""
    t = trio()
    t.begin({"f": "before"})
    lock = _lock(t, "dead", mode)
    t.jump(1)
    for member in t.members:
        member.once()
        assert lock.exists(), "it is new to all of them"
    t.jump(1)
    t.a.put("f", "edited on A")
    assert t.contents() == {"f": b"edited on A"}


def test_s65_a_reader_that_crashes_is_no_obstacle_to_itself(trio):
    """GIVEN B killed while it registers WHEN it comes back THEN it takes its own lock away at once."""
    t = trio()
    t.begin({"f": "before"})

    def edit(number):
        t.settle()
        t.a.put("f", f"edit {number}" * (number + 1))
        t.a.once()

    _killed_with_lock(t, t.b, edit)
    t.b.once()
    assert not t.place.has("lock")
    assert t.contents()["f"] == t.a.read("f")


def test_s65_a_writer_that_crashes_is_no_obstacle_to_the_others(clocks, trio):
    """GIVEN A killed in the middle of a push, and never seen again WHEN `lock timeout` is over THEN the others go on,
    and are waited for by nobody but A; when it is back after all, its edit arrives."""
    t = trio(pullers="a, b, c")
    t.begin({"f": "before", "g": "before"})
    _killed_with_lock(t, t.a, lambda number: t.a.put("f", noise(f"{number}", 300_000 + number)))
    t.leave(t.a)
    t.b.put("g", "edited on B")
    for _ in range(3):
        # The lock goes stale first; what it protected was not looked at until then, and does so next.
        t.c.once()
        t.jump(1)
    t.b.pass_().expect(*BUSY)
    t.c.once()
    assert t.c.read("g") == b"edited on B"
    t.members.insert(0, t.a)
    found = t.contents()
    assert (found["f"], found["g"]) == (t.a.read("f"), b"edited on B")


def test_s65_a_pusher_does_not_starve(trio):
    """GIVEN four pullers that never stop WHEN A edits every round THEN an edit of A is out in every second round."""
    t = trio()
    d = t.join("d")
    t.begin({"f": "before"})
    seen = []
    for number in range(8):
        t.a.put("f", f"edit {number}" * (number + 1))
        for ending in t.at_once(t.b, t.a, t.c, d):
            ending.expect(*BUSY)
        seen.append(t.b.read("f"))
    assert len(set(seen)) >= 3, seen
    assert t.contents()["f"] == t.a.read("f")


def test_s65_all_write_at_once(trio):
    """GIVEN three clients WHEN each makes files of its own, round by round at the same instant THEN nothing is lost."""
    t = trio(index="topdir")
    t.begin({"shared/f": "before"})
    made = {"shared/f": b"before"}
    for number, member in itertools.product(range(RACES), t.members):
        for path in (f"shared/{member.name} {number}", f"own {member.name}/{number}"):
            made[path] = path.encode() * (number + 1)
            member.put(path, made[path])
        if member is t.c:
            for ending in t.at_once():
                ending.expect(*BUSY)
    assert t.contents() == made


def test_s65_all_change_one_file_at_once(trio):
    """GIVEN one file WHEN three edit it and push at the same instant THEN three contents, everywhere by one name."""
    t = trio()
    t.begin({"f.txt": "before"})
    for number in range(RACES):
        versions = {f"{member.name} {number}".encode() * (place + 1) for place, member in enumerate(t.members)}
        for member, version in zip(t.members, sorted(versions, key=len), strict=True):
            member.put("f.txt", version)
        for ending in t.at_once():
            ending.expect(*BUSY, 3, 5)
        found = t.contents(codes=(0, 3, 5))
        assert {*found.values()} >= versions
        assert len(found) == 1 + 2 * (number + 1)


def test_s65_one_edits_one_deletes_one_renames_at_once(trio):
    """GIVEN one file WHEN its fates meet at the same instant THEN the edit stands, the other name has the old one."""
    t = trio(max_delete="no")
    t.begin({"stays": "stays"})
    for number in range(RACES):
        path, content = f"f{number}", f"before {number}" * 9
        t.begin({path: content})
        t.a.put(path, f"edited {number}")
        t.b.delete(path)
        t.c.move(path, f"renamed {number}")
        for ending in t.at_once():
            ending.expect(*BUSY)
        found = t.contents()
        assert found[path] == f"edited {number}".encode()
        assert found[f"renamed {number}"] == content.encode()
        assert conflict_copies(found) == []


def test_s65_two_processes_of_one_client(trio):
    """GIVEN one configuration WHEN two passes of it begin at the same instant THEN one works, the other says why."""
    t = trio()
    t.begin({"f": "before"})
    t.a.put("f", noise("edit", 2_000_000))
    codes = sorted(ending.code for ending in t.at_once(t.a, t.a))
    assert codes in ([0, 0], [0, 16]), codes
    assert t.contents() == {"f": noise("edit", 2_000_000)}


def test_s65_two_machines_of_one_name(trio):
    """GIVEN two machines that call themselves b WHEN both work THEN both say so, and nothing is lost."""
    t = trio()
    t.begin({"f": "before"})
    namesake = t.join("b2", client_name="b")
    assert "P401" in namesake.pass_().stderr
    namesake.put("by namesake", "1")
    t.b.put("by b", "22")
    told = [member.pass_() for member in (t.b, namesake, t.b, namesake)]
    assert sum("P401" in ending.stderr for ending in told) >= 2
    for member in (*t.members, *t.members, *t.members):
        member.pass_().expect(0, 1)
    for member in t.members:
        assert member.contents() == {"f": b"before", "by namesake": b"1", "by b": b"22"}


def test_s67_one_joins_before_the_acknowledgement(trio):
    """GIVEN an update WHEN a third joins before the second has it THEN it stays for the third, who need not ask."""
    t = trio()
    t.leave(t.c)
    t.begin({"f": "before"})
    t.a.put("f", "edited on A")
    t.a.once()
    late = t.join("late")
    joined = late.once("--json").events()
    assert late.read("f") == b"edited on A"
    assert [event for event in joined if event["type"] == "item" and event["action"] == "asked"] == []
    t.b.once()
    assert not t.place.has("data")
    assert t.contents() == {"f": b"edited on A"}


def test_s67_one_joins_after_the_acknowledgement(trio):
    """GIVEN what has left the relay long ago WHEN a third joins THEN it asks, somebody sends, and all is at rest."""
    t = trio()
    t.leave(t.c)
    before = t.begin({f"d{number}/f": f"{number}" * (number + 1) for number in range(5)})
    t.a.delete("d0/f")
    del before["d0/f"]
    t.settle()
    t.join("late")
    assert t.settle() == before


def test_s67_one_joins_while_one_publishes_and_one_acknowledges(trio):
    """GIVEN A and B at work WHEN C comes at the very same instant, with files of its own THEN all have everything."""
    t = trio()
    t.leave(t.c)
    made = {"f": b"before"}
    t.begin({"f": "before"})
    for number in range(RACES):
        late = t.join(f"late{number}")
        t.a.put(f"of a {number}", f"a{number}")
        t.a.once()
        t.a.put("f", f"edit {number}" * (number + 1))
        late.put(f"of late {number}", f"late{number}" * 2)
        for ending in t.at_once(t.b, late, t.a):
            ending.expect(*BUSY)
        made |= {f"of a {number}": f"a{number}".encode(), f"of late {number}": f"late{number}".encode() * 2}
        made["f"] = t.a.read("f")
        assert t.contents() == made


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_s67_one_is_forgotten_while_an_update_waits_for_it(trio, is_acknowledged):
    """GIVEN an update that waits for C WHEN C is forgotten THEN it leaves with B's acknowledgement, and the next one
    goes; C comes back, and has all."""
    t = trio()
    t.begin({"f": "before"})
    t.leave(t.c)
    t.a.put("f", "edited on A")
    t.a.once()
    if is_acknowledged:
        t.b.once()
        t.a.once()
        assert t.place.has("data"), "it waits for C"
    t.a.control("peers", "work", "forget", "c", "--yes").expect(0)
    t.b.once()
    t.a.put("g", "made after that")
    assert t.contents() == {"f": b"edited on A", "g": b"made after that"}
    t.members.append(t.c)
    t.c.put("h", "made on C while it was forgotten")
    assert t.contents() == {"f": b"edited on A", "g": b"made after that", "h": b"made on C while it was forgotten"}


def test_s67_one_is_forgotten_at_the_instant_of_its_acknowledgement(trio):
    """GIVEN C at work WHEN A forgets it THEN it is simply there again, and nothing is lost."""
    t = trio()
    t.begin({"f": "before"})
    for number in range(RACES):
        t.a.put("f", f"edit {number}" * (number + 1))
        t.a.once()
        started = t.c.start_pass()
        t.a.control("peers", "work", "forget", "c", "--yes").expect(0)
        t.c.finish_pass(started).expect(0)
        assert t.contents() == {"f": t.a.read("f")}


def test_s67_named_pullers_are_waited_for_before_they_come(trio):
    """GIVEN `pullers = a, b, late` WHEN late has never come THEN the first update waits for it, and for no other."""
    t = trio(pullers="a, b, late")
    t.leave(t.c)
    t.a.put("f", "made on A")
    for member in (t.a, t.b, t.a, t.b):
        member.once()
    assert t.place.has("data"), "it waits for late"
    late = t.join("late")
    late.once()
    assert late.read("f") == b"made on A"
    assert not t.place.has("data")
    t.settle()


UNHEARD = "whoever asks is not waited for: the clients that count have the content and take it away before it comes"


@pytest.mark.xfail(strict=True, reason=UNHEARD)
@pytest.mark.parametrize("keys", [{"pullers": "a, b"}, {"puller_count": 1}], ids=["named", "number"])
def test_s67_one_that_does_not_count_asks(trio, keys):
    """GIVEN pullers that count, and C, who does not WHEN C asks for what has left THEN it gets that, and there is rest,
    in whatever order they come."""
    t = trio(**keys)
    t.leave(t.c)
    t.begin({"f": "before"})
    t.members.append(t.c)
    assert t.contents() == {"f": b"before"}


def test_s67_a_puller_is_taken_out_of_the_list_while_an_update_waits(trio):
    """GIVEN an update that waits for C WHEN all configurations stop naming C THEN it leaves."""
    t = trio(pullers="a, b, c")
    t.begin({"f": "before"})
    t.leave(t.c)
    t.a.put("f", "edited on A")
    t.a.once()
    t.b.once()
    t.a.once()
    assert t.place.has("data")
    for member in t.members:
        member.write(pullers="a, b")
    assert t.contents() == {"f": b"edited on A"}


@pytest.mark.parametrize("count", [1, 2])
def test_s67_a_number_of_pullers(trio, count):
    """GIVEN `puller count` WHEN so many have it THEN it leaves, and not before."""
    t = trio(puller_count=count)
    t.begin({"f": "before"})
    t.a.put("f", "edited on A")
    t.a.once()
    t.b.once()
    assert t.place.has("data") is (count == 2)
    t.c.once()
    assert not t.place.has("data")
    assert t.c.read("f") == (b"edited on A" if count == 2 else b"before")
