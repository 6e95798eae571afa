"""Nodes: one file, directory, link or special file in a version, with all that restic records of it."""

from __future__ import annotations

import base64
import enum
import os
import stat
from dataclasses import dataclass
from typing import Any

from .moments import ns_of, text_of
from .quoting import quoted, unquoted


class NodeType(enum.Enum):
    """As restic calls them."""

    FILE = "file"
    DIRECTORY = "dir"
    LINK = "symlink"
    BLOCK_DEVICE = "dev"
    CHARACTER_DEVICE = "chardev"
    FIFO = "fifo"
    SOCKET = "socket"


_GO_TYPE_BITS = {
    NodeType.FILE: 0,
    NodeType.DIRECTORY: 1 << 31,
    NodeType.LINK: 1 << 27,
    NodeType.BLOCK_DEVICE: 1 << 26,
    NodeType.CHARACTER_DEVICE: 1 << 26 | 1 << 21,
    NodeType.FIFO: 1 << 25,
    NodeType.SOCKET: 1 << 24,
}
"""Of Go's os.FileMode, which restic stores."""

_GO_SPECIAL_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
_TYPES = {
    stat.S_IFREG: NodeType.FILE,
    stat.S_IFDIR: NodeType.DIRECTORY,
    stat.S_IFLNK: NodeType.LINK,
    stat.S_IFBLK: NodeType.BLOCK_DEVICE,
    stat.S_IFCHR: NodeType.CHARACTER_DEVICE,
    stat.S_IFIFO: NodeType.FIFO,
    stat.S_IFSOCK: NodeType.SOCKET,
}


@dataclass(frozen=True, slots=True)
class Node:
    """One name of a directory.

    `mode`: permission, set-id and sticky bits as chmod takes them; times in Unix ns; `size` in bytes; `content`: ids
    (hex) of the blobs of a file in order; `subtree`: id (hex) of a directory's tree; `target`: of a link; `device`: the
    number of a device; `xattrs`: (name, value) in the order of names; `inode`, `device_id`, `links`: what makes names
    of one file (hard links) known as such.
    """

    name: str
    type: NodeType
    mode: int = 0
    mtime_ns: int = 0
    atime_ns: int = 0
    ctime_ns: int = 0
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    target: str = ""
    device: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    content: tuple[str, ...] = ()
    subtree: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields in Go's order, those without a value left out as restic leaves them out."""
        # Statement by statement: a table of fields that is gone through took twice as long, for each of many files.
        found: dict[str, Any] = {"name": quoted(self.name), "type": self.type.value}
        if mode := self._go_mode():
            found["mode"] = mode
        found["mtime"] = mtime = text_of(self.mtime_ns)
        found["atime"] = mtime if self.atime_ns == self.mtime_ns else text_of(self.atime_ns)
        found["ctime"] = text_of(self.ctime_ns)
        found["uid"] = self.uid
        found["gid"] = self.gid
        for key, value in (
            ("user", self.user),
            ("group", self.group),
            ("inode", self.inode),
            ("device_id", self.device_id),
            ("size", self.size),
            ("links", self.links),
            ("linktarget", self.target),
            ("linktarget_raw", _raw(self.target)),
            ("extended_attributes", [{"name": name, "value": _base64(value)} for name, value in self.xattrs]),
            ("device", self.device),
        ):
            if value:
                found[key] = value
        found["content"] = list(self.content) if self.type is NodeType.FILE else None
        if self.subtree:
            found["subtree"] = self.subtree
        return found

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Node:
        """ValueError, KeyError or TypeError for what is no node."""
        kind = NodeType(found["type"])
        raw_target = found.get("linktarget_raw")
        target = os.fsdecode(base64.b64decode(raw_target, validate=True)) if raw_target else found.get("linktarget", "")
        xattrs = found.get("extended_attributes") or ()
        return cls(
            name=unquoted(_text(found["name"])),
            type=kind,
            mode=_chmod_mode(_number(found.get("mode", 0))),
            mtime_ns=ns_of(found.get("mtime", "1970-01-01T00:00:00Z")),
            atime_ns=ns_of(found.get("atime", "1970-01-01T00:00:00Z")),
            ctime_ns=ns_of(found.get("ctime", "1970-01-01T00:00:00Z")),
            uid=_number(found.get("uid", 0), 32),
            gid=_number(found.get("gid", 0), 32),
            user=_text(found.get("user", "")),
            group=_text(found.get("group", "")),
            inode=_number(found.get("inode", 0)),
            device_id=_number(found.get("device_id", 0)),
            size=_number(found.get("size", 0)),
            links=_number(found.get("links", 0)),
            target=_text(target),
            device=_number(found.get("device", 0)),
            xattrs=tuple(
                (_text(one["name"]), base64.b64decode(one.get("value") or "", validate=True)) for one in xattrs
            ),
            content=tuple(map(_text, found.get("content") or ())),
            subtree=_text(found.get("subtree") or ""),
        )

    def _go_mode(self) -> int:
        bits = self.mode & 0o777 | _GO_TYPE_BITS[self.type]
        if self.mode != self.mode & 0o777:
            for ours, theirs in _GO_SPECIAL_BITS:
                bits |= theirs if self.mode & ours else 0
        return bits


def type_of(mode: int) -> NodeType | None:
    """Of the mode that stat tells; None for what no version holds."""
    return _TYPES.get(stat.S_IFMT(mode))


def _chmod_mode(go_mode: int) -> int:
    mode = go_mode & 0o777
    for ours, theirs in _GO_SPECIAL_BITS:
        mode |= ours if go_mode & theirs else 0
    return mode


def _raw(target: str) -> str:
    """What a link leads to, in base64, where it has bytes that are not UTF-8."""
    if target.isascii() or not any("\udc80" <= char <= "\udcff" for char in target):
        return ""
    return _base64(os.fsencode(target))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not text")
    if not value.isascii() or "\0" in value:
        # No name of the system has a zero byte, nor half a character.
        value.encode("utf-8", "surrogateescape")
        if "\0" in value:
            raise ValueError(f"{value!r:.40} has a zero byte")
    return value


def _number(value: Any, bits: int = 64) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError(f"{value!r:.40} is not a number of a node")
    return value
