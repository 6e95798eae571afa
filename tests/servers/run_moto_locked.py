"""Serve S3 by moto, one request at a time: run_moto_locked.py PORT."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import Any

from cheroot import wsgi
from moto.server import DomainDispatcherApplication, create_backend_app

application = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()


def one_at_a_time(environment: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    length = int(environment.get("CONTENT_LENGTH") or 0)
    if length:
        # The body is read outside the lock, or one slow upload would stop everybody.
        body = environment["wsgi.input"].read(length)
        if len(body) < length:
            # As Amazon does; moto by itself would take what came for the whole object.
            start_response("400 Bad Request", [("Content-Type", "application/xml"), ("Connection", "close")])
            return [b"<Error><Code>IncompleteBody</Code></Error>"]
        environment["wsgi.input"] = io.BytesIO(body)
    with lock:
        return [b"".join(application(environment, start_response))]


wsgi.Server(("127.0.0.1", int(sys.argv[1])), one_at_a_time, numthreads=32).start()
