"""A disk whose user can die at any change of it: a hook ahead of each change that this thread makes to a file system.

The functions of `os` that change something are wrapped while any hook is in use, and ask the hooks of their own thread;
so several simulated machines can live in several threads of one process.  Transactions of a ledger count too: what was
done to the files just before must be survivable without them.  What is written through Python's buffered file objects
is not seen, only that such a file is opened for writing; nothing of a folder is written that way.

`escale.testing.power` has a hook that also takes back what was not synchronised.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from ..files import durable, exchange, site
from ..files.ledger import Ledger
from .faults import Crash

A = TypeVar("A")

Undo = Callable[[], None]
"""Takes one change back; to be called when nothing has been changed since but by us."""

Hook = Callable[[str, str], None]
"""Called with the verb, which is the name of the function, and the full path that is changed, before it is changed."""

_VERBS = {
    "rename": (1, "dst", "dst_dir_fd"),
    "replace": (1, "dst", "dst_dir_fd"),
    "link": (1, "dst", "dst_dir_fd"),
    "symlink": (1, "dst", "dir_fd"),
    "unlink": (0, "path", "dir_fd"),
    "remove": (0, "path", "dir_fd"),
    "rmdir": (0, "path", "dir_fd"),
    "mkdir": (0, "path", "dir_fd"),
    "chmod": (0, "path", "dir_fd"),
    "utime": (0, "path", "dir_fd"),
    "truncate": (0, "path", ""),
    "fchmod": (0, "fd", ""),
    "ftruncate": (0, "fd", ""),
}
"""For each function the argument that says what is changed: place, name, and the name of its directory's descriptor."""

_WITH_SOURCE = frozenset({"rename", "replace", "link"})

_REFUSED = -1
"""What a system call returns that has changed nothing."""

_ABILITIES = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)
"""Sets of functions that the library looks into before it uses one; a wrapper can what its function can."""


class DiskHook:
    """While it is open, `hook` is called before every change of the file system by the thread that opened it.

    When the hook raises what is no Exception (`Crash`) the thread is dead: each further change raises `Crash` instead
    of being made, whatever `finally` and `except` still try.  An Exception is just an error of this one call.
    """

    def __init__(self, hook: Hook) -> None:
        self.is_dead = False
        self._hook = hook

    def __enter__(self) -> Self:
        _WRAPPERS.enter()
        _hooks().append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _hooks().remove(self)
        _WRAPPERS.leave()

    def before(self, verb: str, path: str) -> None:
        """A change is about to be made."""
        if self.is_dead:
            raise Crash
        try:
            self._hook(verb, path)
        except Exception:
            raise
        except BaseException:
            self.is_dead = True
            raise

    def undo_of(self, verb: str, path: str, source: str) -> Undo | None:
        """How to take back a change that is about to be made; `source`: where what is renamed comes from."""
        return None

    def made(self, undo: Undo) -> None:
        """It was made, and this takes it back."""

    def written(self, descriptor: int) -> None:
        """Something was written to a file."""

    def synchronised(self, descriptor: int | None) -> None:
        """A file or directory is durable now; None for the whole file system."""


@contextmanager
def by_somebody_else() -> Iterator[None]:
    """While it is open, no hook of this thread is asked: what is done to the disk is done by another process."""
    hooks, _HERE.hooks = _hooks(), []
    try:
        yield
    finally:
        _HERE.hooks = hooks


class CrashAt:
    """A hook that dies ahead of the change of this number (from 0); `changes` are those that it has let pass.

    Only what lies `below` is counted, where that is given.  A sweep tries 0, 1, 2 ... until the act survives.
    """

    def __init__(self, number: int, below: Path | None = None) -> None:
        self.changes: list[tuple[str, str]] = []
        self._number = number
        self._below = f"{below}/" if below else ""

    def __call__(self, verb: str, path: str) -> None:
        if not path.startswith(self._below):
            return
        if len(self.changes) == self._number:
            raise Crash
        self.changes.append((verb, path))


class _Wrappers:
    """What is wrapped while at least one hook is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._originals: list[tuple[Any, str, Any]] = []

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._wrap_all()

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore()

    def _wrap_all(self) -> None:
        for verb, (place, name, directory) in _VERBS.items():
            self._put(os, verb, _wrapped(verb, getattr(os, verb), place, name, directory))
        self._put(os, "write", _wrapped_write(os.write))
        self._put(os, "open", _wrapped_os_open(os.open))
        for module in (builtins, io):
            self._put(module, "open", _wrapped_open(module.open))
        self._put(os, "fsync", _wrapped_fsync(os.fsync))
        for module in (durable, site):
            self._put(module, "sync_file_system", _wrapped_syncfs(durable.sync_file_system))
        self._put(exchange, "renameat2", _wrapped_renameat2(exchange.renameat2))
        self._put(Ledger, "_transaction", _wrapped_transaction(Ledger._transaction))

    def _put(self, owner: Any, name: str, wrapper: Any) -> None:
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        for ability in _ABILITIES:
            if original in ability:
                ability.add(wrapper)
        setattr(owner, name, wrapper)

    def _restore(self) -> None:
        for owner, name, original in reversed(self._originals):
            for ability in _ABILITIES:
                ability.discard(getattr(owner, name))
            setattr(owner, name, original)
        self._originals.clear()


_WRAPPERS = _Wrappers()
_HERE = threading.local()


def _hooks() -> list[DiskHook]:
    """Those of this thread."""
    if not hasattr(_HERE, "hooks"):
        _HERE.hooks = []
    hooks: list[DiskHook] = _HERE.hooks
    return hooks


def _ask(verb: str, path: str) -> None:
    for hook in [*_hooks()]:
        hook.before(verb, path)


def _change(verb: str, path: str, source: str, act: Callable[[], A]) -> A:
    """Ask, make the change, and tell how to take it back."""
    _ask(verb, path)
    hooks = [*_hooks()]
    with by_somebody_else():
        undos = [hook.undo_of(verb, path, source) for hook in hooks]
    result = act()
    for hook, undo in zip(hooks, undos, strict=True):
        if undo is not None and result != _REFUSED:
            hook.made(undo)
    return result


def _wrapped(verb: str, original: Callable[..., Any], place: int, name: str, directory: str) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **options: Any) -> Any:
        if not _hooks():
            return original(*arguments, **options)
        path = arguments[place] if len(arguments) > place else options[name]
        source = _full(arguments[0], options.get("src_dir_fd")) if verb in _WITH_SOURCE else ""
        return _change(verb, _full(path, options.get(directory)), source, lambda: original(*arguments, **options))

    return wrapper


def _wrapped_write(original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    def wrapper(descriptor: int, data: Any) -> int:
        if not _hooks() or not _is_file(descriptor):
            return original(descriptor, data)
        _ask("write", _path_of(descriptor))
        count = original(descriptor, data)
        for hook in _hooks():
            hook.written(descriptor)
        return count

    return wrapper


def _wrapped_fsync(original: Callable[[int], None]) -> Callable[[int], None]:
    def wrapper(descriptor: int) -> None:
        original(descriptor)
        for hook in _hooks():
            hook.synchronised(descriptor)

    return wrapper


def _wrapped_syncfs(original: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def wrapper(path: bytes) -> None:
        original(path)
        for hook in _hooks():
            hook.synchronised(None)

    return wrapper


def _wrapped_os_open(original: Callable[..., int]) -> Callable[..., int]:
    def wrapper(path: Any, flags: int, *arguments: Any, dir_fd: int | None = None, **options: Any) -> int:
        def act() -> int:
            return original(path, flags, *arguments, dir_fd=dir_fd, **options)

        if flags & (os.O_CREAT | os.O_TRUNC) and _hooks():
            return _change("open", _full(path, dir_fd), "", act)
        return act()

    return wrapper


def _wrapped_open(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        def act() -> Any:
            return original(file, mode, *arguments, **options)

        if set(mode) & set("wxa") and not isinstance(file, int) and _hooks():
            return _change("open", _full(file, None), "", act)
        return act()

    return wrapper


def _wrapped_renameat2(original: Callable[[], Callable[..., int] | None]) -> Callable[[], Callable[..., int] | None]:
    def wrapper() -> Callable[..., int] | None:
        call = original()
        if call is None or not _hooks():
            return call

        def asking(source_directory: int, source: bytes, directory: int, name: bytes, flags: int) -> int:
            verb = "exchange" if flags == exchange.EXCHANGE else "rename"
            of, to = _full(source, source_directory), _full(name, directory)
            return _change(verb, to, of, lambda: call(source_directory, source, directory, name, flags))

        return asking

    return wrapper


def _wrapped_transaction(
    original: Callable[[Ledger], AbstractContextManager[Any]],
) -> Callable[[Ledger], AbstractContextManager[Any]]:
    @contextmanager
    def wrapper(ledger: Ledger) -> Iterator[Any]:
        _ask("transaction", str(ledger.path))
        with original(ledger) as connection:
            yield connection

    return wrapper


def _full(path: Any, directory: int | None) -> str:
    """The full path of what a call names, by a path or by a descriptor."""
    if isinstance(path, int):
        return _path_of(path)
    text = os.fsdecode(path)
    return os.path.join(_path_of(directory), text) if directory is not None else os.path.abspath(text)


def _path_of(descriptor: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")
    return f"descriptor {descriptor}"


def _is_file(descriptor: int) -> bool:
    """Writing to a pipe or a socket changes no file system."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
