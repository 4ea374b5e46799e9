"""No network is touched, and no secret of an address is shown or kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from pipeline.addresses import without_secrets
from pipeline.cli import main
from tests.conftest import SMALL

SECRETS = ("AKIAUSER", "pass/word", "SIGNED", "hunter2")
ADDRESS = "s3://AKIAUSER:pass/word@bucket/data.h5?X-Amz-Signature=SIGNED&a=1&token=hunter2"


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    shown = without_secrets(f"{ADDRESS} and 'https://AKIAUSER@host/x' and /plain/me@here.h5")
    assert not any(secret in shown for secret in SECRETS)
    assert shown.startswith("s3://***@bucket/data.h5?X-Amz-Signature=***&a=1&token=*** and")
    assert shown.endswith("'https://***@host/x' and /plain/me@here.h5")


@pytest.mark.parametrize(
    "arguments",
    [
        ["features", "--data", ADDRESS],
        ["features", "--store", ADDRESS],
        ["train", "--run", ADDRESS],
        ["plan", "--config", ADDRESS],
        ["features", "--set", f"paths.data={ADDRESS}"],
        ["features", "--set", ADDRESS],
        ["features", "--config", "in the file"],
        ["synth", "--windows", "3", "--output", ADDRESS],
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-2]}",
)
def test_an_address_is_refused_and_its_secrets_are_not_shown(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(tomli_w.dumps({"paths": {"store": ADDRESS}}))
    given = [str(config) if each == "in the file" else each for each in arguments]
    try:
        code = main(given)
    except SystemExit as error:
        code = int(error.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("headrace: ")
    assert said.err.count("\n") == 1
    assert "address" in said.err or ADDRESS in arguments[-1:]
    assert not any(secret in said.err for secret in SECRETS)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


STAGES = ["features", "train", "evaluate", "verify", "plan", "inspect"]
OUTSIDE = """
set -eu
exec 3>&1 >/dev/null
ip link set lo up
ip link add inner type veth peer name outer
[ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set inner up && ip link set outer up
ip addr add 192.0.2.1/24 dev inner
ip route add default via 192.0.2.2
"$@"
awk '$1 == "inner:" {print $11}' /proc/net/dev >&3
"""
"""Runs a command where the only way out is a wire on which every packet is counted."""


def packets_sent(command: list[str], folder: Path) -> int:
    """Packets that a command and its children send to other machines, asking for them included."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare (util-linux) and ip (iproute2) are not installed")
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", OUTSIDE, "bash", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"only root makes a network: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_no_stage_touches_the_network(tiny_source: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(tomli_w.dumps({**SMALL, "name": "tiny"}))
    stage = f"{sys.executable} -m pipeline %s --quiet --config {config} --data {tiny_source}"
    stages = " && ".join(stage % name for name in STAGES)
    assert packets_sent(["bash", "-c", stages], tmp_path) == 0
    assert (tmp_path / "runs").is_dir()
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('203.0.113.1', 53))"
    assert packets_sent([sys.executable, "-c", code], tmp_path) > 0
