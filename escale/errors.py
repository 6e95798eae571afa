"""Every error escale raises on purpose, in one tree that says whose fault it is.

    EscaleError
      UserError           the person or the machine here can mend it
        ConfigError         the configuration file
          NoConfiguration     there is none
        LocalError          the folder, the disk, the permissions
          Changing            a file that is being written; its time will come
        NoLocalSpace        the local disk is full
        SecretError         a password, key or host key was refused, or is missing
          HostKeyUnknown      nobody said that this host key is the right one
            HostKeyChanged      somebody said that another one is
          ExposedSecret       the file that holds it can be read by others
          NoSecret            its source does not give it
        RelayInUse          the relay speaks another format, or another key
        UnknownSection      a section that the configuration does not have
        AlreadyRunning      another process has this configuration in hand
        NotRunning          no process answers for this configuration
      StoreError          the storage at the other end
        Missing             no blob of that name
        NoSuchRelay         no such directory or bucket
        Unreachable         no answer, or one that promises better luck later
        Refused             an answer that will not change by asking again
          UntrustedCertificate  a server that cannot prove who it is
        NoRelaySpace        the relay is full
      PeerError           what lies on the relay is not what a client writes
        Corrupt             damaged, truncated, or from a hostile hand
        Forged              does not open under our key, or was moved from its place

The first line of each class's docstring is the sentence the user reads; its braces are filled from the
keyword arguments.  `code` finds the longer explanation, `exit_code` is what the command ends with, and `advice`
is what to type next.  Facts are attributes; nothing is formatted where the error is raised.
"""

from __future__ import annotations

import string
from typing import Any, ClassVar


class EscaleError(Exception):
    """{what}"""

    code: ClassVar[str] = "X900"
    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = ""

    def __init__(self, **facts: Any) -> None:
        super().__init__(facts)
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __str__(self) -> str:
        return _fill((type(self).__doc__ or "").partition("\n")[0], self.facts)

    @property
    def next_step(self) -> str:
        """What the user can do, or an empty string."""
        return _fill(self.advice, self.facts)


class UserError(EscaleError):
    """{what}"""

    code = "L100"


class ConfigError(UserError):
    """{what}"""

    code = "C000"
    exit_code = 78


class NoConfiguration(ConfigError):
    """no configuration file found"""

    code = "C001"
    advice = "looked for: {places}\nTry:    escale demo      to see it work first"


class LocalError(UserError):
    """{path}: {reason}"""

    code = "L101"
    exit_code = 77


class Changing(LocalError):
    """{path} changes while it is being read"""

    code = "L203"
    exit_code = 3
    advice = "It is sent as soon as it holds still."

    def __init__(self, path: str) -> None:
        super().__init__(path=path, reason="changing")


class NoLocalSpace(UserError):
    """the disk of {path} is full: {reason}"""

    code = "L140"
    exit_code = 14
    advice = "Free some space; nothing was marked as received, escale goes on by itself."


class SecretError(UserError):
    """{what}"""

    code = "K202"
    exit_code = 12


class ExposedSecret(SecretError):
    """{path} can be read by other users (mode {mode})"""

    code = "K201"
    exit_code = 77
    advice = "chmod 600 {path}"


class HostKeyUnknown(SecretError):
    """{host} shows a host key that is not known here: {kind} {fingerprint}"""

    code = "K204"
    advice = (
        "Compare it with the server's administrator, then write:  host key = {fingerprint}\n"
        "or, to trust the first one seen:                          host key = accept-new"
    )


class HostKeyChanged(HostKeyUnknown):
    """{host} shows another host key than the one that is known here: {kind} {fingerprint} instead of {expected}"""

    advice = (
        "The server was reinstalled, or somebody stands in between: ask its administrator before anything else.\n"
        "If the new key is right, write:  host key = {fingerprint}"
    )


class NoSecret(SecretError):
    """no secret: {source}: {reason}"""

    code = "K220"
    advice = "{advice}"


class RelayInUse(UserError):
    """{what}"""

    code = "R340"
    exit_code = 1


class UnknownSection(UserError):
    """there is no section or command '{name}'; sections here: {known}"""

    code = "C108"
    exit_code = 2


class AlreadyRunning(UserError):
    """already running with this configuration: process {pid}"""

    code = "D601"
    exit_code = 16
    advice = "Try:    escalectl status      escalectl stop"


class NotRunning(UserError):
    """no running escale found"""

    code = "D610"
    exit_code = 15
    advice = "looked at: {places}"


class StoreError(EscaleError):
    """{where}: {reason}"""

    code = "R300"
    exit_code = 13


class Missing(StoreError):
    """{where}: there is no {name}"""

    code = "R311"


class NoSuchRelay(StoreError):
    """there is no relay at {where}: {reason}"""

    code = "R310"
    exit_code = 10
    advice = "Is the address right? To make the place: escale check --create"


class Unreachable(StoreError):
    """cannot reach {where}: {reason}"""

    code = "R301"
    advice = "Changes here are kept and sent later."


class Refused(StoreError):
    """{where} refused: {reason}"""

    code = "R302"
    exit_code = 77


class TooLarge(Refused):
    """{where} limits the size of uploads: {reason}"""

    code = "R303"
    advice = "Raise the limit of the server, or set maxpagesize below it."


class UntrustedCertificate(Refused):
    """the certificate of {where} is not accepted: {reason}"""

    code = "R305"
    exit_code = 13
    advice = "your own authority: ca file = /path/ca.pem"


class NoRelaySpace(StoreError):
    """the relay {where} is full: {reason}"""

    code = "R320"
    exit_code = 14
    advice = "New files wait in line; it empties when all clients have received what lies there."


DAMAGED = (
    "Nothing was deleted or replaced here because of it; after lock timeout it is removed, and written again by those"
    " who know it. If it happens again, ask who can write to the relay."
)


class PeerError(EscaleError):
    """{where}: {reason}"""

    code = "P420"


class Corrupt(PeerError):
    """{where} is damaged: {reason}"""

    code = "P421"
    advice = DAMAGED


class Forged(PeerError):
    """{where} does not open under our key, or was moved from its place: {reason}"""

    code = "K211"
    exit_code = 12
    advice = DAMAGED


class _Lenient(string.Formatter):
    """Leaves a hole visible instead of failing while an error is being reported."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(key, f"({key})") if isinstance(key, str) else ""


def _fill(text: str, facts: dict[str, Any]) -> str:
    return _Lenient().format(text, **facts)
