"""Serve a directory by WebDAV: run_wsgidav.py ROOT PORT USER PASSWORD."""

from __future__ import annotations

import sys

from cheroot import wsgi
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

root, port, user, password = sys.argv[1:]
application = WsgiDAVApp(
    {
        "provider_mapping": {"/": FilesystemProvider(root)},
        "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "lock_storage": True,
        "property_manager": True,
        "verbose": 1,
        "logging": {"enable": False},
    }
)
wsgi.Server(("127.0.0.1", int(port)), application, numthreads=32).start()
