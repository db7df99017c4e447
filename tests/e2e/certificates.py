# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for the TLS tests, made by openssl when they are needed: a CA, a server's for
localhost and its addresses, a client's, and the ones that must be refused."""

import subprocess
from pathlib import Path

SERVER_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"


def _openssl(*words) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


class Certificates:
    """Files in a folder: ca.pem, other-ca.pem, and NAME.pem with NAME.key for each certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.make_ca("ca")
        self.make_ca("other-ca")
        self.make("good", SERVER_NAMES)
        self.make("expired", SERVER_NAMES, days=0)  # when it is made; newer openssl wants no past
        self.make("other-name", "DNS:elsewhere.example")
        self.make("client", "DNS:tap.example")
        self.make("foreign", SERVER_NAMES, ca="other-ca")

    def path(self, name: str) -> Path:
        return self.folder / name

    def make_ca(self, name: str) -> None:
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-subj", f"/CN={name}", "-days", 2, "-keyout", self.path(name + ".key"),
                 "-out", self.path(name + ".pem"))

    def make(self, name: str, names: str, days: int = 2, ca: str = "ca") -> None:
        request, extra = self.path(name + ".csr"), self.path(name + ".ext")
        extra.write_text(f"subjectAltName={names}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", self.path(name + ".key"), "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.path(ca + ".pem"), "-CAkey",
                 self.path(ca + ".key"), "-CAcreateserial", "-days", days, "-extfile", extra,
                 "-out", self.path(name + ".pem"))
