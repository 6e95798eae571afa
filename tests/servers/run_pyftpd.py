"""Serve a directory by FTP: run_pyftpd.py ROOT PORT USER PASSWORD [CERTIFICATE]."""

from __future__ import annotations

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

root, port, user, password, *certificate = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")
handler = TLS_FTPHandler if certificate else FTPHandler
handler.authorizer = authorizer
handler.auth_failed_timeout = 0
if certificate:
    handler.certfile = certificate[0]
    handler.tls_control_required = True
    handler.tls_data_required = True
ThreadedFTPServer(("127.0.0.1", int(port)), handler).serve_forever()
