"""Requests to a running service: one JSON object per line, one answer.

    {"do": "status"}                          {"ok": true, "status": {...}}
    {"do": "pending", "sections": ["work"]}   {"ok": true, "pending": {"work": [...]}}
    {"do": "sync", "sections": []}            {"ok": true}
    {"do": "reload"}                          {"ok": false, "problems": ["..."]}
    {"do": "stop"}                            {"ok": true}

A request may carry `config`; a service with another configuration answers `ok: false` and `config`, so that a
stale or shared socket is recognised.  Unknown fields are ignored, unknown requests refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ..errors import NotRunning
from ..net.local import LineServer, ask, is_listening
from .daemon import Order
from .status import PendingFile, ServiceStatus

OUTCOME_S_MAX = 90.0
"""How long a request may take: a reload waits for the step in hand of a changed section."""

_ORDERS = {"sync": Order.PASS, "stop": Order.STOP, "reload": Order.RELOAD}


class Steerable(Protocol):
    """What the control socket needs of a service."""

    def tell(self, order: Order, sections: Iterable[str] = ()) -> Future[list[str]]:
        """Give an order."""
        ...

    def status(self) -> ServiceStatus:
        """How everything is."""
        ...

    def pending(self, sections: Iterable[str] = ()) -> dict[str, list[PendingFile]]:
        """What waits."""
        ...

    def names(self) -> tuple[str, ...]:
        """The sections."""
        ...


def serve(places: Iterable[Path], service: Steerable) -> LineServer | None:
    """Listen at the first place that can be had; None if there is none (the service runs all the same)."""
    for place in places:
        if not place.parent.is_dir():
            with suppress(OSError):
                place.parent.mkdir(mode=0o700)
        if place.parent.is_dir() and not is_listening(place):
            with suppress(OSError):
                return LineServer(place, lambda line: answer(service, line))
    return None


def answer(service: Steerable, line: bytes) -> bytes:
    """The answer line to a request line; never raises for what the other side has sent."""
    try:
        request = json.loads(line)
        reply = _reply(service, request if isinstance(request, dict) else {})
    except (ValueError, TimeoutError, RecursionError) as error:
        reply = _refusal(str(error) or "no answer in time")
    return json.dumps(reply).encode("ascii")


def _reply(service: Steerable, request: Mapping[str, Any]) -> dict[str, Any]:
    status = service.status()
    if request.get("config", status.config) != status.config:
        return {"ok": False, "config": status.config, "problems": ["this is the service of another configuration"]}
    sections = _sections(request)
    unknown = sorted(set(sections) - set(service.names()))
    if unknown:
        return _refusal(f"there is no section {', '.join(unknown)}; there are {', '.join(service.names())}")
    verb = request.get("do")
    if verb == "status":
        return {"ok": True, "status": status.as_json()}
    if verb == "pending":
        waiting = service.pending(sections)
        return {"ok": True, "pending": {name: [asdict(file) for file in files] for name, files in waiting.items()}}
    order = _ORDERS.get(verb) if isinstance(verb, str) else None
    if order is None:
        return _refusal(f"unknown request {verb!r}")
    problems = service.tell(order, sections).result(OUTCOME_S_MAX)
    return {"ok": not problems, "problems": problems}


def _sections(request: Mapping[str, Any]) -> list[str]:
    sections = request.get("sections", [])
    if not isinstance(sections, list) or not all(isinstance(name, str) for name in sections):
        raise ValueError("sections must be a list of names")
    return sections


def _refusal(sentence: str) -> dict[str, Any]:
    return {"ok": False, "problems": [sentence]}


class Remote:
    """A running service, as seen from a command.  NotRunning if none answers at any of the places."""

    def __init__(self, places: Iterable[Path], config: Path) -> None:
        self._config = str(config)
        tried = []
        for place in places:
            tried.append(str(place))
            reply = self._ask(place, {"do": "status"})
            if reply is not None and reply.get("ok"):
                self._place = place
                return
        raise NotRunning(places=", ".join(tried))

    def request(self, verb: str, sections: Iterable[str] = ()) -> dict[str, Any]:
        """Ask for something; NotRunning if the service has ended meanwhile."""
        reply = self._ask(self._place, {"do": verb, "sections": list(sections)})
        if reply is None:
            raise NotRunning(places=str(self._place))
        return reply

    def status(self) -> ServiceStatus:
        """How everything is."""
        return ServiceStatus.from_json(self.request("status")["status"])

    def pending(self, sections: Iterable[str] = ()) -> tuple[dict[str, list[PendingFile]], list[str]]:
        """What waits by section, and what the service refused to answer."""
        reply = self.request("pending", sections)
        lists: dict[str, Any] = reply.get("pending", {})
        found = {name: [PendingFile.from_json(file) for file in files] for name, files in lists.items()}
        return found, reply.get("problems", [])

    def is_running(self) -> bool:
        """Whether it still accepts requests."""
        return is_listening(self._place)

    def _ask(self, place: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
        line = ask(place, json.dumps({**request, "config": self._config}).encode("ascii"), OUTCOME_S_MAX + 5)
        if line is None:
            return None
        with suppress(ValueError, RecursionError):
            reply = json.loads(line)
            return reply if isinstance(reply, dict) else None
        return None
