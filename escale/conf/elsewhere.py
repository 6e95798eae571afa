"""A section with its relay at another address, which is given on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError
from .address import Address, RelayAddress
from .compose_address import compose_address
from .document import Block
from .draft import Draft
from .kinds import BadValue, Place
from .problems import Findings, Source, Span, refusal
from .settings import Section


def section_elsewhere(section: Section, address: str, environ: Mapping[str, str]) -> Section:
    """The section as it will be.  ConfigError for an address nobody understands.

    What lets us in goes with it to the same server only: another one must not be told this one's password.
    """
    there = _given(address, environ)
    if _server(there) == _server(section.address):
        return replace(section, address=there, user=there.user or section.user)
    return replace(section, address=there, user=there.user, password=None, certfile=None, host_key=None, options={})


def _server(address: RelayAddress) -> tuple[str, str, int | None]:
    """Buckets of one endpoint are on one server."""
    return (address.scheme, "" if address.scheme == "s3" else address.host, address.port)


def _given(text: str, environ: Mapping[str, str]) -> RelayAddress:
    source = Source(Path(text), (text,))
    draft = Draft(Block(source, "address", Span(1, 1)), Path.cwd(), environ)
    try:
        draft.values["address"] = Address().parse(text, Place("address", draft.base, environ, lambda bad: None))
    except BadValue as bad:
        raise ConfigError(what=bad.fault.message.format(**{"key": "address", **bad.facts})) from None
    findings = Findings()
    address = compose_address(draft, findings)
    if address is None:
        raise refusal(findings.sorted())
    return address
