"""What processes of one machine tell each other: the status file and the lines of the control socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future

from escale.app.control import answer
from escale.app.daemon import Order
from escale.app.status import Need, PendingFile, Reason, SectionState, SectionStatus, ServiceStatus, read_status

from .scratch import scratch
from .target import Target

STATUS = ServiceStatus(
    "1.0.0",
    "/etc/escale/work.conf",
    "laptop",
    42,
    1700000001.0,
    1699999999.0,
    5.0,
    (SectionStatus("work", SectionState.SENDING, needs=(Need("nas is late", "escalectl pending work"),)),),
    ("oh",),
)


class Obedient:
    """A service that does all it is told."""

    def tell(self, order: Order, sections: Iterable[str] = ()) -> Future[list[str]]:
        outcome: Future[list[str]] = Future()
        outcome.set_result([])
        return outcome

    def status(self) -> ServiceStatus:
        return STATUS

    def pending(self, sections: Iterable[str] = ()) -> dict[str, list[PendingFile]]:
        return {"work": [PendingFile("caf\udce9", "page", Reason.QUOTA, 1.5, 7, "full")]}

    def names(self) -> tuple[str, ...]:
        return ("work",)


def status_file(data: bytes) -> bool:
    """Nothing, or a status that can be written again."""
    path = scratch("status") / "status.json"
    path.write_bytes(data)
    found = read_status(path)
    if found is not None:
        assert ServiceStatus.from_json(json.loads(json.dumps(found.as_json()))) == found
    return found is not None


def control_line(data: bytes) -> bool:
    """An answer of one line, always."""
    reply = answer(Obedient(), data)
    assert b"\n" not in reply
    is_done = json.loads(reply)["ok"]
    assert isinstance(is_done, bool)
    return is_done


_REQUESTS = tuple(
    json.dumps(request).encode()
    for request in (
        {"do": "status", "config": STATUS.config},
        {"do": "pending", "sections": ["work"]},
        {"do": "sync", "sections": []},
        {"do": "stop"},
    )
)

TARGETS = (
    Target("status", (json.dumps(STATUS.as_json(), indent=1).encode(),), status_file),
    Target("control", _REQUESTS, control_line),
)
