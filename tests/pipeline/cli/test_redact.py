"""No network is touched, and no secret of an address is shown or kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomli_w

from headrace.pipeline.cli.main import main
from headrace.pipeline.cli.redact import without_secrets
from headrace.stores.errors import ConfigError, UserError
from tests.conftest import SMALL
from tests.refusals import assert_refused

SECRETS = ("AKIAUSER", "pass/", "w@rd", "SIGNED", "hunter2")
ADDRESS = "s3://AKIAUSER:pass/w@rd@bucket/data.h5?X-Amz-Signature=SIGNED&a=1&pwd=hunter2"


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    shown = without_secrets(f"{ADDRESS} and 'https://AKIAUSER@host/x' and /plain/me@here.h5")
    assert not any(secret in shown for secret in SECRETS)
    assert shown.startswith("s3://***@bucket/data.h5?X-Amz-Signature=***&a=1&pwd=*** and")
    assert shown.endswith("'https://***@host/x' and /plain/me@here.h5")


REFUSED: dict[str, tuple[type[UserError] | None, *tuple[str, ...]]] = {
    "features --data ADDRESS": (None, "--data/--input", "SCHEME://BUCKET/NAME"),
    "features --store ADDRESS": (None, "--store", "SCHEME://BUCKET/NAME"),
    "features --data httpADDRESS": (None, "--data/--input", "s3://", "gs://", "az://"),
    "train --run ADDRESS": (None, "--run"),
    "plan --config ADDRESS": (None, "--config"),
    "synth --windows 3 --output ADDRESS": (None, "--output"),
    "features --set paths.data=ADDRESS": (ConfigError, "paths.data", "SCHEME://BUCKET/NAME"),
    "features --config config.toml": (ConfigError, "paths.store", "SCHEME://BUCKET/NAME"),
    "features --set cluster.tls_key=ADDRESS": (ConfigError, "cluster.tls_key"),
    "features --set objects.endpoint=https://AKIAUSER:hunter2@host": (
        ConfigError,
        "objects.endpoint",
    ),
    "features --set objects.options.secret_access_key=hunter2": (
        ConfigError,
        "objects.options",
        "secret_access_key",
    ),
    "features --set ADDRESS": (ConfigError, "bucket/data"),
    "features ADDRESS": (None, "bucket/data.h5"),
    "synth --windows ADDRESS --output x.h5": (None, "--windows"),
    "ADDRESS": (None, "COMMAND"),
}
"""Commands, the kind of their error (None: of the parser), and what it names."""


@pytest.mark.parametrize("command", REFUSED)
def test_an_address_is_refused_and_its_secrets_are_not_shown(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text(tomli_w.dumps({"paths": {"store": ADDRESS}}))
    try:
        code = main(command.replace("ADDRESS", ADDRESS).split())
    except SystemExit as error:
        code = int(error.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("headrace: ")
    assert said.err.count("\n") == 1
    kind, *named = REFUSED[command]
    assert_refused(said.err, kind, *named)
    assert not any(secret in said.err for secret in SECRETS)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


SHORT = ("features",)
ALL = (
    *("synth", "plan --measure", "features", "verify --source", "inspect", "features --repair"),
    *("train", "evaluate --baseline", "crossval", "predict", "export", "compare", "init"),
    *("doctor", "ablation", "runs"),
)
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


def packets_of_stages(stages: Sequence[str], source: Path, folder: Path) -> int:
    config = folder / "tiny.toml"
    config.write_text(
        tomli_w.dumps({**SMALL, "name": "tiny", "features": {**SMALL["features"], "workers": 1}})
    )
    options = f"--quiet --config {config} --data {source}"
    run = "trained"
    others = {
        "train": f"{options} --run {run}",
        "evaluate --baseline": f"{options} --run {run}",
        "synth": "--windows 90 --output more.h5",
        "doctor": "",
        "runs": ".",
        "ablation": f"{options} --minutes 0.01 --set model.inputs=features",
        "predict": f"--run {run} --input {source} --output p.parquet",
        "export": f"--run {run} --output exported",
        "compare": f"{run} exported",
        "init": f"{source} --output first.toml",
    }
    commands = [
        f"{sys.executable} -m headrace {stage} {others.get(stage, options)}" for stage in stages
    ]
    return packets_sent(["bash", "-ec", "\n".join(commands)], folder)


def test_no_stage_touches_the_network(tiny_source: Path, tmp_path: Path) -> None:
    assert packets_of_stages(SHORT, tiny_source, tmp_path) == 0
    assert (tmp_path / "data").is_dir()
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('203.0.113.1', 53))"
    assert packets_sent([sys.executable, "-c", code], tmp_path) > 0


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_no_command_touches_the_network(tiny_source: Path, tmp_path: Path) -> None:
    assert packets_of_stages(ALL, tiny_source, tmp_path) == 0
