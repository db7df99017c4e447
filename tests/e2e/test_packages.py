# SPDX-License-Identifier: BSD-2-Clause
"""What is installed: complete, generated from the program's own options, and the same each time."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from scripted import Load
from tap import REPOSITORY, binary, stop_balanced, unprivileged

DEPLOY = REPOSITORY / "scripts" / "deploy"
TOOLS = ("CC", "CFLAGS", "LDFLAGS", "VERSION", "BUILD", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PREFIX")
INSTALLED = (
    "bin/dnstap-bpf", "include/dnstap-emit.h", "lib/libdnstap-emit.a",
    "lib/pkgconfig/dnstap-emit.pc", "lib/systemd/system/dnstap-bpf.service",
    "lib/sysusers.d/dnstap-bpf.conf", "lib/tmpfiles.d/dnstap-bpf.conf",
    "share/man/man8/dnstap-bpf.8", "share/man/man5/dnstap-bpf.yaml.5",
    "share/man/man3/dnstap-emit.3", "share/bash-completion/completions/dnstap-bpf",
    "share/doc/dnstap-bpf/examples/dnstap-bpf.yaml")


def make(*words, source=REPOSITORY):
    """make as a person calls it, with nothing of a make that runs these tests."""
    environment = {name: value for name, value in os.environ.items() if name not in TOOLS}
    done = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", source, *map(str, words)],
                          capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def build():
    """The folder of the tap under test, with everything that is generated."""
    folder = binary().parent
    make(f"BUILD={folder}", "all", "lib", "manual")
    return folder


def options():
    """The long options, as the usage text has them."""
    usage = subprocess.run([binary(), "--help"], capture_output=True, text=True, timeout=60,
                           check=True).stdout
    found = set(re.findall(r"--([a-z][a-z0-9-]+)", usage))
    assert len(found) > 35 and "interface" in found
    return found


def test_manual_has_every_option(build):
    commands = (build / "deploy" / "dnstap-bpf.8").read_text().replace("\\-", "-")
    keys = (build / "deploy" / "dnstap-bpf.yaml.5").read_text().replace("\\-", "-")
    not_in_file = {"config", "check-config", "help", "version"}
    assert options() == set(re.findall(r"^(?:\\fB-\w\\fR, )?\\fB--([a-z0-9-]+)\\fR", commands, re.M))
    assert options() - not_in_file == set(re.findall(r"^\\fB([a-z0-9-]+)\\fR: ", keys, re.M))


@pytest.mark.parametrize("page", ["dnstap-bpf.8", "dnstap-bpf.yaml.5", "dnstap-emit.3"])
def test_manual_is_well_formed(build, page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", build / "deploy" / page],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stdout, done.stdout


def complete(build, *words):
    """What bash offers for the last word."""
    script = (f'. "{build}/deploy/completion.bash"; shift 0; COMP_WORDS=(dnstap-bpf "$@"); '
              'COMP_CWORD=$#; _dnstap_bpf; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True,
                          timeout=60, check=True)
    assert not done.stderr, done.stderr
    return set(done.stdout.split())


def test_completion(build, folder):
    (folder / "capture.pcap").touch()
    (folder / "inside").mkdir()
    assert {word[2:] for word in complete(build, "--")} == options()
    assert complete(build, "--conf") == {"--config", "--confine"}
    assert complete(build, "--role", "a") == complete(build, "--role", "=", "a") == {"auto", "auth"}
    assert complete(build, "-r", f"{folder}/c") == {f"{folder}/capture.pcap"}
    assert complete(build, "--spool", f"{folder}/") == {f"{folder}/inside"}
    assert "lo" in complete(build, "-i", "")
    assert complete(build, "--port", "5") == set(), "a number is not completed as something else"
    assert complete(build, "--type", "tool_".upper()) == {"TOOL_QUERY", "TOOL_RESPONSE"}
    assert complete(build, "--rcode", "BADC") == {"BADCOOKIE"}
    for words in (("file", ":", "//"), ("file://",)):
        assert complete(build, *words[:-1], f"{words[-1]}{folder}/c") == {
            f"{words[-1]}{folder}/capture.pcap"}
    assert complete(build, "un") == {"unix://"} and complete(build, "-", "f") == {"file://", "full"}


def test_install(build, folder):
    """Where PREFIX says, with its paths inside; an edited configuration stays."""
    root = folder / "a root"
    words = [f"BUILD={build}", f"DESTDIR={root}", "PREFIX=/opt/tap"]
    try:
        make(*words, "install")
        assert {str(path.relative_to(root / "opt/tap")) for path in (root / "opt/tap").rglob("*")
                if path.is_file()} >= set(INSTALLED)
        assert not list((root / "usr").glob("*"))
        unit = (root / "opt/tap/lib/systemd/system/dnstap-bpf.service").read_text()
        assert "ExecStart=/opt/tap/bin/dnstap-bpf --config /etc/dnstap-bpf/dnstap-bpf.yaml\n" in unit
        assert not re.search("@[A-Z]+@", unit)
        assert "prefix=/opt/tap\nlibdir=/opt/tap/lib\n" in (
            root / "opt/tap/lib/pkgconfig/dnstap-emit.pc").read_text()
        assert os.access(root / "opt/tap/bin/dnstap-bpf", os.X_OK)
        config = root / "etc/dnstap-bpf/dnstap-bpf.yaml"
        config.write_text("sinks: ['-']\n")
        make(*words, "install")
        assert config.read_text() == "sinks: ['-']\n"
    finally:
        make(f"BUILD={build}", "all", "lib", "manual")  # with its own paths again


def test_example_configuration():
    done = subprocess.run([binary(), "--config", DEPLOY / "dnstap-bpf.yaml", "--check-config"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_example_configuration_when_uncommented(folder):
    """What stands there as a comment is right too."""
    text = re.sub(r"^#(?=  |\w+:)", "", (DEPLOY / "dnstap-bpf.yaml").read_text(), flags=re.M)
    (folder / "all.yaml").write_text(text)
    done = subprocess.run([binary(), "--config", folder / "all.yaml", "--check-config"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert text.count("\n#") == 6 and done.returncode == 0, text + done.stderr


def test_two_builds_are_identical(build, folder):
    """The same sources in another folder, into another folder."""
    source, other = folder / "elsewhere" / "source", folder / "out"
    ours = ["bpf", "proto", "scripts", "user", "Makefile", "LICENSE"]
    for name in ours:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy(REPOSITORY / name, source / name)
    version = (build / "version").read_text().strip()
    date = subprocess.run(["git", "-C", REPOSITORY, "log", "-1", "--format=%ct"], text=True,
                          capture_output=True, check=False).stdout.strip() or "0"
    make(f"BUILD={other}", f"VERSION={version}", f"SOURCE_DATE_EPOCH={date}", "all", "lib", "manual",
         source=source)
    names = ["dnstap-bpf", "libdnstap-emit.a", *(
        f"deploy/{path.name}" for path in (build / "deploy").iterdir())]
    differ = [name for name in names if (build / name).read_bytes() != (other / name).read_bytes()]
    assert len(names) == 7 and not differ


HOST_CAPABILITIES = ["NET_RAW", "BPF", "PERFMON"]
PODS_CAPABILITIES = HOST_CAPABILITIES + ["SYS_ADMIN", "SYS_PTRACE"]


@pytest.mark.parametrize("name, capabilities", [("host", HOST_CAPABILITIES),
                                                ("pods", PODS_CAPABILITIES)])
def test_daemonset(folder, name, capabilities):
    """No more rights than said, each with its reason; and the tap takes its configuration."""
    path = DEPLOY / "kubernetes" / f"{name}.yaml"
    kinds = {one["kind"]: one for one in yaml.safe_load_all(path.read_text())}
    assert set(kinds) == {"Namespace", "ConfigMap", "DaemonSet"}
    spec = kinds["DaemonSet"]["spec"]["template"]["spec"]
    container, = spec["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": capabilities}
    assert all(re.search(rf"(- {one} # \w+|#.*\n\s+- {one} # \w+)", path.read_text())
               for one in capabilities), "a reason for each"
    assert security["readOnlyRootFilesystem"] is True and security["privileged"] is False
    assert security["allowPrivilegeEscalation"] is False
    assert spec["hostNetwork"] is True and spec.get("hostPID", False) is (name == "pods")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert not any("hostPath" in volume for volume in spec["volumes"])
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    config = folder / "dnstap-bpf.yaml"
    config.write_text(kinds["ConfigMap"]["data"]["dnstap-bpf.yaml"])
    port = container["readinessProbe"]["httpGet"]["port"]
    assert yaml.safe_load(config.read_text())["metrics"] == f"127.0.0.1:{port}"
    words = [word.replace("/etc/dnstap-bpf", str(folder)) for word in container["args"]]
    done = subprocess.run([binary(), *words, "--check-config"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("root", "namespaces", "bpf")
@pytest.mark.parametrize("capabilities", [HOST_CAPABILITIES, PODS_CAPABILITIES])
def test_rights_of_the_daemonset_suffice(spaces, tap, folder, capabilities):
    """Root with these capabilities and no others taps its own namespace, or that of a process."""
    own, pod = spaces(), spaces()
    program, kept = folder / "tap", ",".join(f"+{name.lower()}" for name in capabilities)
    program.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-all,{kept} --inh-caps=-all '
                       f'--no-new-privs -- {binary()} "$@"\n')
    program.chmod(0o755)
    process = subprocess.Popen(pod.command(*unprivileged(["sleep", "60"])))
    try:
        pods = capabilities == PODS_CAPABILITIES
        running = tap("--user=root", *(["--netns", process.pid] if pods else []), "-", "full",
                      space=own, program=program).wait_watching()
        with Load(pod if pods else own, 500) as load:
            sent = load.stop()
        result = stop_balanced(running)
    finally:
        process.kill()
        process.wait(10)
    assert len(result.stdout.splitlines()) == sent > 0
