"""The two set-ups of doc/howto/write-only-backup.md, taken from that page, on real servers: used, and attacked."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import User
from tests.servers import Server
from tests.servers.ssh import SshdAdding

from .conftest import PASSWORD, Restic, programs

PAGE = Path(__file__).parents[2] / "doc/howto/write-only-backup.md"
SECTION = """
log file = none
[laptop]
role       = backup
path       = {home}
store      = {store}
passphrase = file: {key}
schedule   = no
keep       = 2 last
{more}
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


class Machine(User):
    """One that saves, or looks after what was saved."""

    def __init__(self, place: Path, home: Path, store: str, more: str) -> None:
        place.mkdir()
        super().__init__(place)
        key = place / "key"
        key.write_text(f"{PASSWORD}\n")
        key.chmod(0o600)
        self.conf.write_text(SECTION.format(home=home, store=store, key=key, more=more))
        self.conf.chmod(0o600)

    def backup(self, *words: str, code: int = 0) -> str:
        done = self.escalectl("backup", *words)
        assert done.returncode == code, done.stdout_text + done.stderr_text
        return done.stdout_text + done.stderr_text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(os.urandom(200_000))
    (folder / "large").write_bytes(os.urandom(9 << 20))
    return folder


def use(laptop: Machine, desk: Machine, home: Path) -> None:
    """What honest people do: three versions, then the desk looks and prunes."""
    laptop.backup("create")
    (home / "a").write_bytes(b"second")
    laptop.backup("create")
    desk.backup("check", "--read-data")
    (home / "b").write_bytes(b"third")
    laptop.backup("create")
    assert "all is there" in laptop.backup("check")
    for refused in (("prune", "--yes"), ("check", "--repair")):
        assert "only adds" in laptop.backup(*refused, code=1)
    assert "all is there" in desk.backup("check", "--read-data")


def look_back(desk: Machine, home: Path, target: Path) -> None:
    """After the attacks: all is there, the newest version comes back as it was, and old ones can go."""
    assert "all is there" in desk.backup("check", "--read-data")
    words = ["-c", str(desk.conf), "get", ".", "--to", str(target)]
    done = desk.run(*words, module="escale.cli.restore")
    assert done.returncode == 0, done.stdout_text + done.stderr_text
    (found,) = target.rglob("large")
    assert found.read_bytes() == (home / "large").read_bytes()
    assert (found.parent / "b").read_bytes() == b"third"


# --- S3


@dataclass
class Bucket:
    """`owner` and `thief`: clients of the library, with the credentials of the desk and of the laptop."""

    owner: Any
    thief: Any
    laptop: str
    desk: str


@pytest.fixture
def bucket(request: pytest.FixtureRequest, own_server: Callable[[str], Server]) -> Bucket:
    """With the policies of the page, but for the action that the test takes away."""
    import boto3

    server = own_server("moto_guarded")

    def client(service: str, access: str, secret: str) -> Any:
        keys = {"aws_access_key_id": access, "aws_secret_access_key": secret}
        return boto3.client(service, endpoint_url=server.url, region_name="us-east-1", **keys)

    iam, anybody = (client(service, "first", "first") for service in ("iam", "s3"))
    rights, of_bucket = blocks("json")
    everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}
    policies = {
        "owner": json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
        "laptop": for_moto(rights, request.param),
    }
    keys = {}
    for user, policy in policies.items():
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=policy)
        made = iam.create_access_key(UserName=user)["AccessKey"]
        keys[user] = (made["AccessKeyId"], made["SecretAccessKey"])
    anybody.create_bucket(Bucket="backups")
    anybody.put_bucket_policy(Bucket="backups", Policy=of_bucket)
    while _is_free(anybody):
        pass
    options = f"option endpoint_url = {server.url}\noption region_name = us-east-1\nproxy = none"
    confs = {user: f"user = {access}\npassword = {secret}\n{options}" for user, (access, secret) in keys.items()}
    return Bucket(client("s3", *keys["owner"]), client("s3", *keys["laptop"]), confs["laptop"], confs["owner"])


def for_moto(policy: str, without: str) -> str:
    """moto asks for rights of its own where Amazon asks for s3:GetObject and s3:ListBucket."""
    rights = json.loads(policy)
    rights["Statement"] = [one for one in rights["Statement"] if without not in one["Action"]]
    for statement in rights["Statement"]:
        more = {"s3:GetObject": "s3:HeadObject", "s3:ListBucket": "s3:HeadBucket"}
        statement["Action"] += [more[action] for action in statement["Action"] if action in more]
    return json.dumps(rights)


def _is_free(client: Any) -> bool:
    """Whether requests are not asked for rights yet."""
    from botocore.exceptions import ClientError

    try:
        client.list_objects_v2(Bucket="backups")
    except ClientError:
        return False
    return True


def names(client: Any) -> dict[str, str]:
    found = client.list_objects_v2(Bucket="backups").get("Contents", [])
    return {one["Key"]: one["ETag"] for one in found}


@pytest.mark.real("moto_guarded")
@pytest.mark.parametrize("bucket", ["nothing"], indirect=True)
def test_a_bucket_that_the_laptop_adds_to(bucket, home, tmp_path):
    """GIVEN the policies of the page WHEN a laptop saves THEN it can, and its credentials take nothing away."""
    from botocore.exceptions import ClientError

    laptop = Machine(tmp_path / "laptop", home, "s3://backups/laptop", f"{bucket.laptop}\nmay delete = no")
    desk = Machine(tmp_path / "desk", home, "s3://backups/laptop", bucket.desk)
    desk.backup("init")
    use(laptop, desk, home)
    before = names(bucket.owner)
    assert not [key for key in before if "/locks/" in key]
    keys = [key for key in before if "/locks/" not in key]
    assert {key.split("/")[1] for key in keys} == {"config", "keys", "data", "index", "snapshots", "x-escale"}
    thief, where = bucket.thief, {"Bucket": "backups"}
    for key in keys:
        acts: list[Callable[[], Any]] = [
            lambda key=key: thief.delete_object(**where, Key=key),
            lambda key=key: thief.put_object(**where, Key=key, Body=b"rubbish"),
            lambda key=key: thief.put_object(**where, Key=key, Body=b"rubbish", IfNoneMatch="*"),
            lambda key=key: thief.copy_object(**where, Key=key, CopySource=f"backups/{keys[0]}"),
            lambda key=key: thief.create_multipart_upload(**where, Key=key),
            lambda key=key: thief.put_object_acl(**where, Key=key, ACL="public-read"),
        ]
        for act in acts:
            with pytest.raises(ClientError, match=r"AccessDenied|PreconditionFailed|Forbidden"):
                act()
    for act in (
        lambda: thief.delete_objects(**where, Delete={"Objects": [{"Key": key} for key in keys]}),
        lambda: thief.delete_bucket_policy(**where),
        lambda: thief.put_bucket_lifecycle_configuration(**where, LifecycleConfiguration={"Rules": []}),
        lambda: thief.put_object(**where, Key="laptop/keys/" + "0" * 64, Body=b"", IfNoneMatch="*"),
        lambda: thief.put_object(**where, Key="laptop/x-escale/doomed/" + "0" * 64, Body=b"", IfNoneMatch="*"),
    ):
        try:
            answer = act()
        except ClientError:
            continue
        assert not answer.get("Deleted"), answer
    assert names(bucket.owner) == before
    look_back(desk, home, tmp_path / "back")


@pytest.mark.real("moto_guarded")
@pytest.mark.parametrize("bucket", ["s3:DeleteObject"], indirect=True)
def test_a_bucket_where_not_even_locks_may_be_removed(bucket, home, tmp_path):
    """GIVEN a user without any right to delete WHEN it saves THEN it can, and says that its lock stays."""
    laptop = Machine(tmp_path / "laptop", home, "s3://backups/laptop", f"{bucket.laptop}\nmay delete = no")
    desk = Machine(tmp_path / "desk", home, "s3://backups/laptop", bucket.desk)
    desk.backup("init")
    assert "goes stale by itself" in laptop.backup("create")
    (home / "b").write_bytes(b"third")
    laptop.backup("create")
    assert len([key for key in names(bucket.owner) if "/locks/" in key]) == 2
    look_back(desk, home, tmp_path / "back")


@pytest.mark.real("moto_guarded")
@pytest.mark.parametrize("bucket", ["nothing"], indirect=True)
def test_a_laptop_that_does_not_know_that_it_only_adds_is_refused(bucket, home, tmp_path):
    """The policy of the bucket counts, not the goodwill of escale."""
    laptop = Machine(tmp_path / "laptop", home, "s3://backups/laptop", bucket.laptop)
    desk = Machine(tmp_path / "desk", home, "s3://backups/laptop", bucket.desk)
    desk.backup("init")
    before = names(bucket.owner)
    assert "does not let us in" in laptop.backup("create", code=12)
    assert names(bucket.owner) == before


# --- SSH


@pytest.fixture
def attacker() -> Iterator[Callable[[Any], Any]]:
    """Connections of paramiko, by the place that they are to."""
    import paramiko

    opened = []

    def connected(relay: Any) -> Any:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        key = str(relay.key_file)
        client.connect(relay.host, relay.port, relay.user, key_filename=key, allow_agent=False, look_for_keys=False)
        opened.append(client)
        return client

    yield connected
    for client in opened:
        client.close()


def test_the_test_server_is_set_up_as_the_page_says():
    (line,) = re.findall(r"^ +(ForceCommand .*)$", PAGE.read_text(), re.MULTILINE)
    assert line in SshdAdding.more


def lay_out(store: Path, desk: Machine) -> None:
    """The desk, which is root here, makes the repository, and the rest by the script of the page."""
    if os.getuid() != 0:
        pytest.skip("NOT TESTED: two accounts need root")
    group = store.stat().st_gid
    for directory in (store, store.parent):
        os.chown(directory, 0, 0)
        directory.chmod(0o755)
    desk.backup("init")
    (script,) = blocks("sh")
    script = script.replace("cd /srv/backups/laptop", f"cd {store}").replace("chgrp laptop", f"chgrp {group}")
    subprocess.run(["sh", "-e", "-c", script], check=True)


@pytest.mark.real("sshd_adding")
def test_an_account_that_may_only_add(own_server, attacker, home, tmp_path):
    """GIVEN the forced command of the page WHEN a laptop saves THEN it can, and its key takes nothing away."""
    server = own_server("sshd_adding")
    relay = server.relay()
    login = f"user = {relay.user}\nkeyfile = {relay.key_file}\nhost key = {relay.host_key}\nmay delete = no"
    laptop = Machine(tmp_path / "laptop", home, relay.url, login)
    desk = Machine(tmp_path / "desk", home, str(relay.path), "")
    lay_out(relay.path, desk)
    laptop.backup("create")
    (home / "b").write_bytes(b"third")
    assert "goes stale by itself" in laptop.backup("create")
    assert "all is there" in desk.backup("check", "--read-data")
    files = {path: path.read_bytes() for path in relay.path.rglob("*") if path.is_file()}
    objects = [path for path in files if "locks" not in path.parts and not path.name.startswith(".part-")]
    assert {path.relative_to(relay.path).parts[0] for path in objects} >= {"config", "data", "index", "snapshots"}
    for path in objects:
        attack_file(attacker(relay), str(path))
    assert attacker(relay).exec_command("rm -rf .")[1].channel.recv_exit_status() != 0
    assert {path: path.read_bytes() for path in files if path.exists()} == files
    for program in programs():
        Restic(program).run(relay.path, "--no-lock", "check", "--read-data")
    look_back(desk, home, tmp_path / "back")
    laptop.backup("create")
    assert "0 versions forgotten, 0 kept" in desk.backup("prune", "--host", "elsewhere")
    assert "1 version forgotten, 2 kept" in desk.backup("prune", "--host", socket.gethostname())
    laptop.backup("create")
    assert "3 versions" in desk.backup("check", "--read-data")


@pytest.mark.real("sshd_user")
def test_directories_with_the_sticky_bit(own_server, attacker, home, tmp_path):
    """GIVEN an account that is not held to anything, and root who has taken over its files WHEN it attacks them THEN
    it takes nothing away; and it saves again."""
    relay = own_server("sshd_user").relay()
    login = f"user = {relay.user}\nkeyfile = {relay.key_file}\nhost key = {relay.host_key}\nmay delete = no"
    laptop = Machine(tmp_path / "laptop", home, relay.url, login)
    desk = Machine(tmp_path / "desk", home, str(relay.path), "")
    lay_out(relay.path, desk)
    (sticky,) = set(re.findall(r"`chmod (\d+)`", PAGE.read_text()))
    (take_over,) = re.findall(r"`(find [^`]*chown[^`]*)`", PAGE.read_text())
    command = f"cd {relay.path} && chmod {sticky} data/?? index snapshots locks x-escale x-escale/heads && "
    laptop.backup("create")
    subprocess.run(["sh", "-e", "-c", command + take_over.replace("laptop", relay.user)], check=True)
    files = {path: path.read_bytes() for path in relay.path.rglob("*") if path.is_file()}
    assert files and not [path for path in files if path.stat().st_uid != 0]
    for path in files:
        attack_file(attacker(relay), str(path))
    assert {path: path.read_bytes() for path in files} == files
    (home / "b").write_bytes(b"third")
    laptop.backup("create")
    assert not [*relay.path.rglob(".part-*")] and not [*(relay.path / "locks").iterdir()]
    look_back(desk, home, tmp_path / "back")


def attack_file(client: Any, path: str) -> None:
    sftp = client.open_sftp()
    beside = f"{path}.new"
    acts: list[Callable[[], Any]] = [
        lambda: sftp.remove(path),
        lambda: sftp.rename(path, beside),
        lambda: sftp.posix_rename(path, beside),
        lambda: sftp.open(path, "w"),
        lambda: sftp.open(path, "a"),
        lambda: sftp.open(path, "r+"),
        lambda: sftp.truncate(path, 0),
        lambda: sftp.chmod(path, 0o666),
        lambda: sftp.utime(path, (1, 1)),
        lambda: sftp.rmdir(str(Path(path).parent)),
        lambda: sftp.symlink("/etc/passwd", path),
        lambda: sftp.rename(str(Path(path).parent), f"{Path(path).parent}.away"),
    ]
    for act in acts:
        with pytest.raises(OSError):
            act()
    sftp.close()
