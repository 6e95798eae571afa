"""A TCP proxy between a client and a server: adds latency, counts turns and bytes, cuts connections.

It runs as a process of its own, so that it does not share the interpreter lock with the program under test.  Latency is
a queue of (due time, bytes), not a throttle: the bandwidth stays what the machine gives.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Self

QUEUED_BYTES_MAX = 16 * 1024 * 1024
"""Bytes in flight in one direction before the sender is made to wait: far above rate times delay."""


@dataclass(slots=True)
class Traffic:
    """What went through: bytes in each direction, connections opened, and turns.

    A turn is a change from the server talking to the client talking: the round trips a client waited for.
    """

    up: int = 0
    down: int = 0
    connections: int = 0
    turns: int = 0


class Proxy:
    """Forwards a free loopback port to `target_port`, each byte `delay_s` later."""

    host = "127.0.0.1"

    def __init__(self, target_port: int, delay_s: float = 0.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(target_port), str(delay_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self._answer())

    def cut(self) -> None:
        """Break every connection now."""
        self._command("cut")

    def cut_after(self, bytes_more: int) -> None:
        """Break every connection as soon as so many more bytes went through, both directions together; once."""
        self._command(f"cut_after {bytes_more}")

    def refuse(self, refusing: bool = True) -> None:
        """Break every connection and accept no others, until called with False."""
        self._command(f"refuse {int(refusing)}")

    def delay(self, delay_s: float) -> None:
        """Change the delay of what comes from now on."""
        self._command(f"delay {delay_s}")

    def traffic(self) -> Traffic:
        """What went through since the start or the last call."""
        return Traffic(**json.loads(self._command("traffic")))

    def stop(self) -> None:
        """End the process; the connections break."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _command(self, text: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the proxy has ended")
        return line.strip()


class _Hub:
    """The state all connections share, in the proxy's process."""

    def __init__(self, target_port: int, delay_s: float) -> None:
        self.target_port = target_port
        self.delay_s = delay_s
        self.traffic = Traffic()
        self.transports: set[asyncio.Transport] = set()
        self.is_refusing = False
        self._bytes_left: int | None = None

    def count(self, received: int) -> int:
        """How many of the bytes received may pass; cuts everything when the limit is reached."""
        if self._bytes_left is None:
            return received
        allowed = min(received, self._bytes_left)
        self._bytes_left -= allowed
        if self._bytes_left == 0:
            self._bytes_left = None
            asyncio.get_running_loop().call_later(self.delay_s, self.cut)
        return allowed

    def cut(self) -> None:
        for transport in list(self.transports):
            transport.abort()

    def obey(self, line: str) -> str:
        verb, _, argument = line.partition(" ")
        if verb == "cut":
            self.cut()
        elif verb == "cut_after":
            self._bytes_left = int(argument)
        elif verb == "delay":
            self.delay_s = float(argument)
        elif verb == "refuse":
            self.is_refusing = argument == "1"
            if self.is_refusing:
                self.cut()
        elif verb == "traffic":
            traffic, self.traffic = self.traffic, Traffic()
            return json.dumps(asdict(traffic))
        return "done"


class _Side(asyncio.Protocol):
    """One end of a connection; what it receives leaves by the other end."""

    def __init__(self, hub: _Hub, is_client: bool) -> None:
        self._hub = hub
        self._is_client = is_client
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued_bytes = 0
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.spoke_last = False
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub.transports.add(transport)
        if self._is_client:
            self._hub.traffic.connections += 1
            self.other = _Side(self._hub, is_client=False)
            self.other.other = self
            self._task = asyncio.get_running_loop().create_task(self._connect_other(transport))
        elif self.other is not None:
            # What the client said before we reached the target has waited.
            self.other._forward()

    async def _connect_other(self, transport: asyncio.Transport) -> None:
        try:
            if self._hub.is_refusing:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: self.other, "127.0.0.1", self._hub.target_port)
        except OSError:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        data = data[: self._hub.count(len(data))]
        if self._is_client:
            self._hub.traffic.up += len(data)
            self._hub.traffic.turns += not self.spoke_last
        else:
            self._hub.traffic.down += len(data)
        assert self.other is not None
        self.spoke_last, self.other.spoke_last = True, False
        self._enqueue(data)

    def _enqueue(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._queue.append((loop.time() + self._hub.delay_s, data))
        self._queued_bytes += len(data)
        if self._queued_bytes > QUEUED_BYTES_MAX and self.transport is not None:
            self.transport.pause_reading()
        if len(self._queue) == 1:
            self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queue[0][0] > loop.time():
            loop.call_at(self._queue[0][0], self._forward)
        else:
            self._forward()

    def _forward(self) -> None:
        if self.other is None or self.other.transport is None:
            return
        loop = asyncio.get_running_loop()
        # A timer may fire a tick of the clock early; what is due within that tick goes now.
        now = loop.time() + 0.0005
        while self._queue and self._queue[0][0] <= now:
            _, data = self._queue.popleft()
            self._queued_bytes -= len(data)
            self._hand_on(data)
        if self.transport is not None and self._queued_bytes <= QUEUED_BYTES_MAX and not self.transport.is_closing():
            self.transport.resume_reading()
        if self._queue:
            self._schedule(loop)

    def _hand_on(self, data: bytes) -> None:
        assert self.other is not None
        out = self.other.transport
        if out is None or out.is_closing():
            return
        if data:
            out.write(data)
            return
        self._has_ended = True
        with suppress(OSError):  # Broken already; `connection_lost` is on its way.
            out.write_eof()
        if self.other._has_ended and self.transport is not None:
            out.close()
            self.transport.close()

    def eof_received(self) -> bool:
        self._enqueue(b"")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        assert self.transport is not None
        self._hub.transports.discard(self.transport)
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            if error is not None:
                self.other.transport.abort()
            else:
                self.other.transport.close()


async def _main(target_port: int, delay_s: float) -> None:
    hub = _Hub(target_port, delay_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Side(hub, is_client=True), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(hub.obey(line.strip()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
