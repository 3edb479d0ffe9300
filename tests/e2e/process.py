# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A running process looked at from outside: its threads, its memory, its system calls."""

import array
import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import signal
import subprocess

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL
PIECE = 16 << 20
OVERLAP = 256  # longer than anything searched for
SHADOW = 1 << 36  # a mapping of this size is a sanitizer's shadow memory, which holds no octets of the program
PAGE = os.sysconf("SC_PAGE_SIZE")
THERE = 3 << 62  # of an entry of /proc/PID/pagemap: the page is in memory or in swap

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def threads(pid, name):
    """Thread ids whose name has name in it."""
    found = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir(), key=lambda task: int(task.name)):
        if name in (task / "comm").read_text():
            found.append(int(task.name))
    return found


def workers(pid):
    found = threads(pid, "worker")
    assert found, [task.read_text() for task in pathlib.Path(f"/proc/{pid}/task").glob("*/comm")]
    return found


def _ptrace(request, tid):
    if _libc.ptrace(request, tid, None, None) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of thread {tid}")


@contextlib.contextmanager
def frozen(tid):
    """One thread stands still while the others go on."""
    _ptrace(PTRACE_SEIZE, tid)
    _ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        _ptrace(PTRACE_DETACH, tid)


@contextlib.contextmanager
def stopped(child):
    """All threads of a child stand still: from the beginning of the block on, not some time after the signal was sent."""
    os.kill(child, signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, child, os.WSTOPPED)
        yield
    finally:
        os.kill(child, signal.SIGCONT)


def mappings(pid):
    """(start, end) of all that the process may read, its own pages and files alike."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        bounds, rights, *rest = line.split(maxsplit=5)
        if rights[0] == "r" and not (rest and rest[-1].strip() in ("[vvar]", "[vsyscall]")):
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            if end - start < SHADOW:
                yield start, end


def pages_there(pagemap, start, end):
    """(start, end) of the runs of pages that the process ever touched. Most of what it maps is never touched."""
    for at in range(start, end, PIECE):
        pagemap.seek(at // PAGE * 8)
        entries = array.array("Q", pagemap.read((min(at + PIECE, end) - at) // PAGE * 8))
        for there, run in itertools.groupby(range(len(entries)), lambda n: entries[n] & THERE != 0):
            if there:
                pages = list(run)
                yield at + pages[0] * PAGE, at + (pages[-1] + 1) * PAGE


def memory_pieces(pid, ranges=None):
    """What the process has in memory there, or anywhere."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for bounds in mappings(pid) if ranges is None else ranges:
            for start, end in pages_there(pagemap, *bounds):
                memory.seek(start)
                with contextlib.suppress(OSError, ValueError):  # pages behind the end of a file
                    yield memory.read(min(end + OVERLAP, bounds[1]) - start)


def memory_find(pid, patterns):
    """Names of those patterns (name: octets) that are anywhere in the memory of the process."""
    found = set()
    for piece in memory_pieces(pid):
        found |= {name for name, octets in patterns.items() if name not in found and octets in piece}
    return found


class Strace:
    """The system calls of one thread, from the end of the constructor until stop()."""

    def __init__(self, tid, path):
        self.path = path
        self.process = subprocess.Popen(["strace", "-q", "-q", "-o", str(path), "-p", str(tid)],
                                        stderr=subprocess.PIPE, text=True)
        status = pathlib.Path(f"/proc/{tid}/status")
        while not re.search(rf"^TracerPid:\s+{self.process.pid}$", status.read_text(), re.MULTILINE):
            if self.process.poll() is not None:
                raise PermissionError(self.process.stderr.read())

    def stop(self):
        """Ends it. Returns the names of all calls, in their order."""
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()
        return re.findall(r"^(?:\d+ +)?(\w+)\(", self.path.read_text(), re.MULTILINE)
