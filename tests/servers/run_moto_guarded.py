"""Serve S3 and IAM by moto with the rights that users have: run_moto_guarded.py PORT RIGHTS_AFTER.

moto asks for rights after so many requests, and knows nothing of conditions: a policy with one denies everything.  So
the policy of a bucket, which may be given once, is kept here, and the condition that matters is asked here: that a user
is denied an upload which does not say `If-None-Match`.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from cheroot import wsgi
from moto import settings
from moto.iam import iam_backends
from moto.server import DomainDispatcherApplication, create_backend_app

settings.INITIAL_NO_AUTH_ACTION_COUNT = float(sys.argv[2])
application = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()
policies: dict[str, list[dict[str, Any]]] = {}
ACCOUNT = "123456789012"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def arn_of(access_key: str) -> str:
    for user in iam_backends[ACCOUNT]["aws"].list_users("/", None, None):
        if any(key.access_key_id == access_key for key in user.access_keys):
            return str(user.arn)
    return ""


def denials(bucket: str) -> Iterator[dict[str, Any]]:
    """Statements of its policy that deny an upload which lacks a header."""
    for statement in policies.get(bucket, []):
        assert statement["Effect"] == "Deny" and statement["Action"] == "s3:PutObject", "not known here"
        assert statement["Condition"] == {"Null": {"s3:if-none-match": "true"}}, "not known here"
        assert statement["Resource"] == f"arn:aws:s3:::{bucket}/*", "not known here"
        yield statement


def is_denied(environment: dict[str, Any]) -> bool:
    verb, query = environment["REQUEST_METHOD"], environment.get("QUERY_STRING", "")
    bucket, _, key = environment["PATH_INFO"].lstrip("/").partition("/")
    found = re.search(r"Credential=(\w+)/.*/s3/aws4_request", environment.get("HTTP_AUTHORIZATION", ""))
    is_upload = bool(key) and (verb == "PUT" or (verb == "POST" and "upload" in query))
    if found is None or not is_upload or "HTTP_IF_NONE_MATCH" in environment:
        return False
    return any(statement["Principal"] == {"AWS": arn_of(found[1])} for statement in denials(bucket))


def guarded(environment: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
    environment["wsgi.input"] = io.BytesIO(body)
    bucket = environment["PATH_INFO"].strip("/")
    if environment["REQUEST_METHOD"] == "PUT" and environment["QUERY_STRING"] == "policy" and bucket not in policies:
        policies[bucket] = json.loads(body)["Statement"]
        start_response("204 No Content", [])
        return []
    with lock:
        if not is_denied(environment):
            return [b"".join(application(environment, start_response))]
    start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(DENIED)))])
    return [DENIED]


wsgi.Server(("127.0.0.1", int(sys.argv[1])), guarded, numthreads=32).start()
