"""Checks across settings: what is right by itself and wrong beside another value or another section."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from . import faults
from .draft import Draft
from .problems import Findings
from .quantities import size_text
from .settings import BackupSection, Common, Section

_TLS_SCHEMES = ("https", "ftps")


def check_section(section: Section, draft: Draft, findings: Findings, may_lack_keys: bool) -> None:
    """Everything that concerns one section."""
    _check_encryption(section, draft, findings, may_lack_keys)
    _check_identity(section, draft, findings)
    _check_sizes(section, draft, findings)
    _check_format(section, draft, findings)
    _check_pullers(draft, findings)


def check_pairs(sections: Sequence[tuple[Section, Draft]], findings: Findings) -> None:
    """Folders and relays among each other, and clients on one relay."""
    folders = [os.path.realpath(section.local_path) for section, _ in sections]
    relays = [_relay_of(section) for section, _ in sections]
    for one, two in combinations(range(len(sections)), 2):
        (section, _), (other, draft) = sections[one], sections[two]
        facts = {"section": section.name, "other": other.name}
        if _contains(folders[one], folders[two]) or _contains(folders[two], folders[one]):
            paths = {"path": section.local_path, "other_path": other.local_path}
            draft.find(faults.OVERLAP, findings, "local path", **facts, **paths)
        if relays[one] == relays[two] and section.client_name == other.client_name:
            draft.find(faults.SAME_CLIENT, findings, "client name", client=section.client_name, **facts)
    local_relays = sorted({path for scheme, _, _, path in relays if scheme == "file"})
    for (section, draft), folder in zip(sections, folders, strict=True):
        for relay in local_relays:
            _check_relay_place(draft, section.local_path, folder, relay, findings)


def check_backup(backup: BackupSection, draft: Draft, sections: Sequence[Section], findings: Findings) -> None:
    """Everything that concerns one backup section: its store is neither in what it saves nor in anybody's way."""
    _check_identity(backup, draft, findings)
    store = _relay_of(backup)
    if store[0] == "file":
        for path in backup.paths:
            if _contains(os.path.realpath(path), store[3]):
                draft.find(faults.STORE_INSIDE, findings, "address", store=store[3], path=path)
        for section in sections:
            if _contains(os.path.realpath(section.local_path), store[3]):
                facts = {"relay": store[3], "path": section.local_path}
                draft.find(faults.RELAY_INSIDE, findings, "address", **facts)
    for section in sections:
        if _relay_of(section) == store:
            draft.find(faults.STORE_IS_RELAY, findings, "address", other=section.name)


def _check_encryption(section: Section, draft: Draft, findings: Findings, may_lack_keys: bool) -> None:
    if section.encryption != "off" and section.passphrase is None and not may_lack_keys:
        draft.find(faults.NO_PASSPHRASE, findings, "encryption")
    if section.encryption == "off" and section.passphrase is not None:
        draft.find(faults.USELESS_PASSPHRASE, findings, "passphrase")


def _check_identity(section: Common, draft: Draft, findings: Findings) -> None:
    scheme = section.address.scheme
    if section.keyfile is not None and scheme != "sftp":
        if scheme not in _TLS_SCHEMES:
            draft.find(faults.USELESS_KEYFILE, findings, "keyfile", without="", protocol=scheme)
        elif section.certfile is None:
            draft.find(faults.USELESS_KEYFILE, findings, "keyfile", without=" without 'certfile'", protocol=scheme)
    if not section.verify_ssl and scheme in (*_TLS_SCHEMES, "s3"):
        draft.find(faults.UNVERIFIED, findings, "verify ssl", host=section.address.host)


def _check_sizes(section: Section, draft: Draft, findings: Findings) -> None:
    if section.disk_quota is not None and section.maxpagesize > section.disk_quota:
        key = "maxpagesize" if "maxpagesize" in draft.entries else "disk quota"
        facts = {"page": size_text(section.maxpagesize), "quota": size_text(section.disk_quota)}
        draft.find(faults.PAGE_OVER_QUOTA, findings, key, **facts)


def _check_format(section: Section, draft: Draft, findings: Findings) -> None:
    if section.relay_format != "0.7":
        if section.encryption == "fernet":
            draft.find(faults.FERNET_IN_FORMAT_1, findings, "encryption")
        return
    if section.compression != "bz2":
        draft.find(faults.CODEC_UNKNOWN, findings, "compression", value=section.compression)
    if draft.says_no("index"):
        draft.find(faults.NO_INDEX, findings, "index")
    if section.deletions != "keep":
        draft.find(faults.NO_DELETIONS, findings, "deletions", value=section.deletions)


def _check_pullers(draft: Draft, findings: Findings) -> None:
    """Two keys that 0.7 took for one; which of them would count must not depend on where they stand."""
    count, names = draft.entries.get("puller count"), draft.entries.get("pullers")
    if count is not None and names is not None:
        later, earlier = sorted((count, names), key=lambda entry: entry.key_span.line, reverse=True)
        span, facts = later.key_span, {"key": later.key, "other": earlier.key, "line": earlier.key_span.line}
        findings.add(faults.PULLERS_TWICE, later.source, span, **facts)


def _relay_of(section: Common) -> tuple[str, str, int | None, str]:
    address = section.address
    path = os.path.realpath(address.path) if address.scheme == "file" else address.path
    return (address.scheme, address.host.lower(), address.port, path)


def _check_relay_place(draft: Draft, path: Path, folder: str, relay: str, findings: Findings) -> None:
    """No relay in any folder: its blobs would be sent; no folder in a relay: its files would be listed there."""
    if _contains(folder, relay):
        draft.find(faults.RELAY_INSIDE, findings, "local path", relay=relay, path=path)
    elif _contains(relay, folder):
        draft.find(faults.FOLDER_INSIDE, findings, "local path", relay=relay, path=path)


def _contains(outer: str, inner: str) -> bool:
    """Whether the second path is the first or lies in it; both without links."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
