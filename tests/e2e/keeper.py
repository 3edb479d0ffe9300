# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What systemd is to a service that hands it descriptors: FDSTORE=1 of sd_notify(3), LISTEN_FDS of sd_listen_fds(3)."""

import array
import fcntl
import mmap
import os
import signal
import socket
import struct
import threading

import lab as lab_module

FIRST_FD, NAME = 3, "mcxrelay-store"
FIRST_PIECE, PIECE_HEAD, UNIT, RECORD_HEAD = 4096, 16, 64, 72  # store/heap.c, store/record.h


class Kept(lab_module.Relay):
    """A relay whose store outlives it: what was recorded comes back with start_again()."""

    store = "local"  # what the unit says

    LAUNCHER = (*lab_module.Relay.LAUNCHER, "bash", "-c",
                f'[ -z "$KEPT_FD" ] || {{ exec {FIRST_FD}<&$KEPT_FD; export LISTEN_PID=$$ LISTEN_FDS=1; }}; exec "$@"',
                "bash")

    def __init__(self, lab, **more):
        self.kept = None
        super().__init__(lab, **more)

    def _start(self):
        self.messages = []
        path = self.directory / "notify"
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(path))
        threading.Thread(target=self._listen, args=(notify,), daemon=True).start()
        self.environment = {"NOTIFY_SOCKET": str(path), "KEPT_FD": "", "MCXRELAY_STORE": self.store}
        self.pass_fds = ()
        if self.kept is not None:
            self.environment |= {"KEPT_FD": str(self.kept), "LISTEN_FDNAMES": NAME}
            self.pass_fds = (self.kept,)
        super()._start()
        lab_module.wait_for(lambda: self.messages, lambda messages: "READY=1" in messages, "what systemd is told")
        if self.keeps():
            lab_module.wait_for(lambda: self.kept, lambda fd: fd is not None, "the descriptor of the store")

    def keeps(self):
        return "store" not in self.options and self.store == "local" or 'store = "local"' in self.options

    def _listen(self, notify):
        while True:
            data, ancillary, _, _ = notify.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
            text = data.decode()
            self.messages.append(text)
            if f"FDSTOREREMOVE=1\nFDNAME={NAME}" in text and self.kept is not None:
                os.close(self.kept)
                self.kept = None
            if "FDSTORE=1" in text:
                (_, _, octets), = [a for a in ancillary if a[1] == socket.SCM_RIGHTS]
                fd, = array.array("i", octets)
                # Above those that a shell can name, and that of the next process.
                self.kept = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
                os.close(fd)

    def _clean(self):
        super()._clean()
        if self.kept is not None:
            os.close(self.kept)
            self.kept = None

    def end(self, number=signal.SIGKILL):
        """kill -9, or another signal; returns the exit status."""
        return self._end(number)

    def again(self, number=signal.SIGKILL):
        """The next life. Nobody states anything. Returns what its log says of what came back."""
        self.end(number)
        anchored, self.anchored = self.anchored, False
        self.start_again()
        self.anchored = anchored
        return self.restored()

    def restored(self):
        """{sessions, legs, keys, losses} of this life; None: there was nothing."""
        # The reader of the log may be behind that of the other output; what it reads in order is there by then.
        log = lab_module.wait_for(self.log_text, lambda text: "client.connected" in text, "the first client in the log")
        for line in log.splitlines():
            if " restored sessions=" in f" {line}":
                return {name: int(value) for name, value in (word.split("=") for word in line.split() if "=" in word)
                        if name != "ms"}
        return None

    # The file as somebody sees it who has the descriptor

    def octets(self):
        with mmap.mmap(self.kept, 0, prot=mmap.PROT_READ) as file:
            end, = struct.unpack_from("<Q", file, 24)
            return file[:end]

    def pieces(self):
        """(offset, octets) of each piece."""
        file, at = self.octets(), FIRST_PIECE
        while at < len(file):
            units, length = struct.unpack_from("<II", file, at)
            if length:
                yield at + PIECE_HEAD, file[at + PIECE_HEAD:at + PIECE_HEAD + length]
            at += units * UNIT

    def records(self):
        """{name: version}"""
        found = {}
        for _, piece in self.pieces():
            name_len, = struct.unpack_from(">H", piece, 4)
            version, = struct.unpack_from(">Q", piece, 12)
            found[piece[RECORD_HEAD:RECORD_HEAD + name_len].decode()] = version
        return found

    def change(self, offset, octets):
        with mmap.mmap(self.kept, 0) as file:
            file[offset:offset + len(octets)] = octets
