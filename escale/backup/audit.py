"""Audit: what the records of the clients say, beside what is there.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..errors import EscaleError, PeerError
from .heads import ADDS, FORGOT, SAVED, Head, first_hosts, is_tagged_anew, original, saved_in, unsigned
from .moments import text_of
from .snapshot import Snapshot


class VersionGone(PeerError):
    """version {version} of {when}, saved on {host}, is gone, and no client signed that it was forgotten"""

    code = "B450"
    advice = "restic deletes without signing. If nobody used it, ask who can delete there."


class RecordsCut(PeerError):
    """the records of {host} ({client}) end at {number}, and {seen} was seen before"""

    code = "B451"
    advice = "The store was put back to an older state, or somebody deletes there."


class RecordGone(PeerError):
    """record {number} of {host} ({client}) is gone, or was not written by it"""

    code = "B452"
    advice = "What it told of is not known: versions may be gone. Ask who can delete there."


class VersionUnsigned(PeerError):
    """version {version} of {when} says that it is from {host}, and no client signed it"""

    code = "B453"
    advice = "restic writes versions without signing. If nobody used it, do not trust this one."


class VersionBack(PeerError):
    """version {version} of {when}, from {host}, was forgotten, and is there"""

    code = "B454"
    advice = "Forgetting was interrupted, or an older state of the store came back. The next prune forgets it again."


class NewClient(PeerError):
    """a client on {host} ({client}) signs here, which was not known on this machine"""

    code = "B455"


class ForgottenByAdder(PeerError):
    """a client on {host} ({client}) signed that {count} versions were forgotten, and before that that it only adds"""

    code = "B456"
    advice = "Whoever has its key wanted to hide that versions go. Take its credentials away, and save with new ones."


class OtherHost(PeerError):
    """the client of {host} ({client}) signs as {other}"""

    code = "B457"
    advice = "If that machine was not given another name, somebody else has its key."


NOTICES = (VersionUnsigned, VersionBack, NewClient, OtherHost)
"""What may well be in order; the others never are."""


def audit(
    heads: Sequence[Head],
    snapshots: Iterable[Snapshot],
    listed: Collection[str],
    seen: Mapping[str, tuple[int, str]],
    ours: str,
) -> list[EscaleError]:
    """All that does not fit together.  `snapshots`: the versions that can be read, of those that are `listed`; `seen`:
    how far each client was known to be, with the digest of that record; `ours`: the client that asks."""
    chains: dict[str, list[Head]] = defaultdict(list)
    for head in heads:
        chains[head.client].append(head)
    found: list[EscaleError] = []
    for client, chain in sorted(chains.items()):
        found += _links(chain)
        if client not in seen and client != ours:
            found.append(NewClient(host=chain[0].hostname, client=client))
        host = first_hosts(chain)[client]
        others = sorted({head.hostname for head in chain} - {host})
        found += [OtherHost(host=host, client=client, other=other) for other in others]
    for client, (number, digest) in sorted(seen.items()):
        found += _since_seen(chains.get(client, []), client, number, digest)
    lies = [*_lies(chains.values())]
    found += [ForgottenByAdder(host=lie.hostname, client=lie.client, count=len(lie.snapshots)) for lie in lies]
    return found + _versions([head for head in heads if head not in lies], [*snapshots], listed)


def _lies(chains: Iterable[Sequence[Head]]) -> Iterator[Head]:
    """What clients say to have forgotten after they said that they only add: it counts for nothing."""
    for chain in chains:
        adds = min((head.number for head in chain if head.event == ADDS), default=None)
        yield from (head for head in chain if head.event == FORGOT and adds is not None and head.number > adds)


def _links(chain: Sequence[Head]) -> list[EscaleError]:
    """Each record names the one before."""
    found: list[EscaleError] = []
    number, digest = 0, ""
    for head in sorted(chain, key=lambda head: head.number):
        missing = range(number + 1, head.number)
        found += [RecordGone(number=gone, host=head.hostname, client=head.client) for gone in missing]
        if not missing and head.previous != digest:
            found.append(RecordGone(number=number, host=head.hostname, client=head.client))
        number, digest = head.number, head.digest
    return found


def _since_seen(chain: Sequence[Head], client: str, number: int, digest: str) -> list[EscaleError]:
    host = chain[0].hostname if chain else "another machine"
    last = max((head.number for head in chain), default=0)
    if last < number:
        return [RecordsCut(host=host, client=client, number=last, seen=number)]
    if any(head.number == number and head.digest != digest for head in chain):
        return [RecordGone(number=number, host=host, client=client)]
    return []


def _versions(heads: Sequence[Head], snapshots: Sequence[Snapshot], listed: Collection[str]) -> list[EscaleError]:
    saved = saved_in(heads)
    there = {*listed} | {original(snapshot) for snapshot in snapshots if is_tagged_anew(snapshot, saved)}
    forgot = {snapshot for head in heads if head.event == FORGOT for snapshot in head.snapshots}
    found: list[EscaleError] = [
        VersionGone(version=snapshot[:8], when=text_of(round(head.time * 1e9)), host=head.hostname)
        for head in heads
        if head.event == SAVED
        for snapshot in head.snapshots
        if snapshot not in there | forgot
    ]
    for snapshot in snapshots:
        if snapshot.id in forgot:
            found.append(VersionBack(version=snapshot.id[:8], when=_when(snapshot), host=snapshot.hostname))
    unknown = [snapshot for snapshot in unsigned(heads, snapshots) if snapshot.id not in forgot]
    return found + [
        VersionUnsigned(version=snapshot.id[:8], when=_when(snapshot), host=snapshot.hostname) for snapshot in unknown
    ]


def _when(snapshot: Snapshot) -> str:
    return text_of(snapshot.time_ns)
