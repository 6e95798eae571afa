"""Attributes of files on disk: owner, permissions, times, extended ones; and special files, which have no more."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from .node import Node, NodeType

_KINDS = {
    NodeType.BLOCK_DEVICE: stat.S_IFBLK,
    NodeType.CHARACTER_DEVICE: stat.S_IFCHR,
    NodeType.FIFO: stat.S_IFIFO,
    NodeType.SOCKET: stat.S_IFSOCK,
}

_SET_ID = stat.S_ISUID | stat.S_ISGID


def set_attributes(target: int, node: Node) -> list[str]:
    """Give an open file or directory what its node records; returns what could not be given, in words.

    The owner first, for changing it takes set-id bits away; the times last.  Only root can give files away, so for
    others an owner that is not theirs is no failure.
    """
    failures: list[str] = []
    # Plain statements: of a hundred thousand small files each with a context of its own took a second.
    if os.geteuid() == 0:
        try:
            os.fchown(target, node.uid, node.gid)
        except OSError as error:
            failures.append(f"owner: {error.strerror}")
    try:
        os.fchmod(target, node.mode & ~_foreign_bits(target, node, failures) if node.mode & _SET_ID else node.mode)
    except OSError as error:
        failures.append(f"permissions: {error.strerror}")
    for name, value in node.xattrs:
        with _noted(failures, f"attribute {name}"):
            os.setxattr(target, name.encode("utf-8", "surrogateescape"), value)
    try:
        os.utime(target, ns=(node.atime_ns, node.mtime_ns))
    except OSError as error:
        failures.append(f"times: {error.strerror}")
    return failures


def _foreign_bits(target: int, node: Node, failures: list[str]) -> int:
    """The set-id bits that would let a program run as somebody else than it did."""
    status = os.fstat(target)
    if not stat.S_ISREG(status.st_mode):
        return 0
    bits = (stat.S_ISUID if status.st_uid != node.uid else 0) | (stat.S_ISGID if status.st_gid != node.gid else 0)
    if node.mode & bits:
        failures.append("permissions: set-id bits, for it belongs to another")
    return bits


def set_link_attributes(parent: int, name: bytes, node: Node) -> list[str]:
    """The same for what cannot be opened: symbolic links, devices, pipes."""
    failures: list[str] = []
    if os.geteuid() == 0:
        with _noted(failures, "owner"):
            os.chown(name, node.uid, node.gid, dir_fd=parent, follow_symlinks=False)
    if node.type is not NodeType.LINK:
        with _noted(failures, "permissions"):
            os.chmod(name, node.mode, dir_fd=parent)
    for attribute, value in node.xattrs:
        with _noted(failures, f"attribute {attribute}"):
            # There is no call that takes the directory beside the name.
            place = b"/proc/self/fd/%d/%b" % (parent, name)
            os.setxattr(place, attribute.encode("utf-8", "surrogateescape"), value, follow_symlinks=False)
    with _noted(failures, "times"):
        os.utime(name, ns=(node.atime_ns, node.mtime_ns), dir_fd=parent, follow_symlinks=False)
    return failures


def make_special(parent: int, name: bytes, node: Node) -> None:
    """A link, device, pipe or socket; OSError where the system or the user's rights do not allow it."""
    if node.type is NodeType.LINK:
        os.symlink(os.fsencode(node.target), name, dir_fd=parent)
    else:
        os.mknod(name, _KINDS[node.type] | 0o600, node.device, dir_fd=parent)


@contextmanager
def _noted(failures: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        failures.append(f"{what}: {error.strerror}")
