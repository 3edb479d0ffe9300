# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""libsrtp2 as the peer: a third implementation of the packets, by tests/e2e/libsrtp_peer.c."""

import atexit
import functools
import pathlib
import shutil
import subprocess
import tempfile

import mcx
from lab import build_directory

SOURCE = pathlib.Path(__file__).resolve().with_name("libsrtp_peer.c")


class LibsrtpError(Exception):
    pass


@functools.cache
def program():
    """The built program; compiled here if the build directory has none."""
    built = build_directory() / "tests" / "libsrtp_peer"
    if built.exists():
        return built
    directory = tempfile.mkdtemp(prefix="mcx-libsrtp-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    out = pathlib.Path(directory) / "libsrtp_peer"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", str(SOURCE), "-o", str(out), "-lsrtp2"], check=True)
    return out


class LibsrtpPeer:
    """One SSRC under one master key. Appends and cuts the ROC of RFC 4771, which libsrtp2 does not know."""

    def __init__(self, key, salt, mki, ssrc, roc=0, roc_rate=0, suite=mcx.GCM_128):
        self.roc_rate, self.roc, self.mki = roc_rate, roc, mki
        short = {mcx.CM_80: "cm80", mcx.CM_32: "cm32"}.get(suite, "256" if len(key) == 32 else "128")
        self.process = subprocess.Popen(
            [str(program()), short, key.hex(), salt.hex(), mki.hex() or "-", f"{ssrc:x}", f"{roc:x}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
        self.process.stdout.close()

    def _answer(self):
        word, _, rest = self.process.stdout.readline().strip().partition(" ")
        if word != "ok":
            raise LibsrtpError(rest)
        return bytes.fromhex(rest)

    def _call(self, command, packet):
        self.process.stdin.write(f"{command} {packet.hex()}\n")
        return self._answer()

    def _carries_roc(self, packet):
        return self.roc_rate and int.from_bytes(packet[2:4], "big") % self.roc_rate == 0

    def protect(self, packet):
        out = self._call("protect", packet)
        if self._carries_roc(packet):
            out += self.roc.to_bytes(4, "big")
        if packet[2:4] == b"\xff\xff":
            self.roc += 1
        return out

    def unprotect(self, packet):
        return self._call("unprotect", packet[:-4] if self._carries_roc(packet) else packet)

    def protect_rtcp(self, packet):
        return self._call("protect_rtcp", packet)

    def unprotect_rtcp(self, packet):
        return self._call("unprotect_rtcp", packet)


def group_peer(gmk, user, ssrc, roc=0, service="mcptt"):
    """The libsrtp2 peer that is a talker of a group."""
    guk = gmk.guk_id(user)
    cs_id = mcx.CS_GROUP[service]
    return LibsrtpPeer(mcx.master_key(gmk.value, cs_id, guk, gmk.rand, gmk.suite),
                       mcx.master_salt(gmk.value, cs_id, guk, gmk.rand, mcx.salt_len(gmk.suite)),
                       gmk.group(user, service).mki, ssrc, roc, gmk.roc_rate, gmk.suite)


def control_peer(key, ssrc, service="mcptt"):
    """The libsrtp2 peer of SRTCP under a CSK and its kin."""
    cs_id = mcx.CS_CONTROL[key.type, service]
    # SRTCP is the same in both; libsrtp2 looks for its MKI in front of a tag as long as SRTP's.
    suite = mcx.CM_80 if key.suite == mcx.CM_32 else key.suite
    return LibsrtpPeer(mcx.master_key(key.value, cs_id, key.id, key.rand, key.suite),
                       mcx.master_salt(key.value, cs_id, key.id, key.rand, mcx.salt_len(suite)),
                       key.control(service).mki, ssrc, suite=suite)


def private_peer(pck, role, ssrc, roc=0, service="mcptt"):
    """The libsrtp2 peer that is the client of this role in a private call."""
    cs_id = mcx.CS_PRIVATE[service, role]
    return LibsrtpPeer(mcx.master_key(pck.value, cs_id, pck.id, pck.rand, pck.suite),
                       mcx.master_salt(pck.value, cs_id, pck.id, pck.rand, mcx.salt_len(pck.suite)),
                       pck.private(role, service).mki, ssrc, roc, pck.roc_rate, pck.suite)
