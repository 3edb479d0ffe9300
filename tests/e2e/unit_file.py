# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Starts a program under the restrictions that the systemd unit states, where no systemd runs.

As a program: python3 unit_file.py UNIT[:DROP_IN] WRITABLE_DIRECTORY USER PROGRAM ARGUMENT ... becomes PROGRAM.
"""

import ctypes
import os
import pwd
import re
import resource
import socket
import subprocess
import sys

PR_SET_PDEATHSIG, PR_SET_MDWE, PR_SET_NO_NEW_PRIVS, PR_SET_KEEPCAPS = 1, 65, 38, 8
PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 24, 47, 2
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, CLONE_NEWNS = 1, 32, 4096, 16384, 1 << 18, 0x20000
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
CAP_IPC_LOCK = 14
CAPABILITY_VERSION_3 = 0x20080522
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_CMP_EQ, EPERM = 0x7fff0000, 0x00050000, 4, 1

LISTS = {"CapabilityBoundingSet", "AmbientCapabilities", "SystemCallFilter", "ReadWritePaths"}
# What become() does, and what only systemd can do or what is about something else.
APPLIED = {"User", "Group", "LimitMEMLOCK", "LimitCORE", "LimitNOFILE", "AmbientCapabilities", "UMask",
           "CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "PrivateTmp", "RestrictAddressFamilies",
           "MemoryDenyWriteExecute", "SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures",
           "ProtectHome", "ProtectKernelTunables", "RestrictNamespaces", "LockPersonality", "ReadWritePaths"}
NOT_APPLIED = {"Type", "NotifyAccess", "WatchdogSec", "ExecStart", "ExecReload", "Restart", "RestartSec", "FileDescriptorStoreMax", "TimeoutStartSec",
               "Environment", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode",
               "ConfigurationDirectory", "ProtectProc", "DevicePolicy", "DeviceAllow", "ProtectKernelModules",
               "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "RestrictRealtime",
               "RestrictSUIDSGID", "RemoveIPC", "KeyringMode", "PrivateMounts"}

_libc = ctypes.CDLL(None, use_errno=True)


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def service_settings(paths):
    """{name: value} of the sections Service of a unit and its drop-ins. Lists grow, the rest is replaced."""
    settings = {}
    for path in paths:
        with open(path) as file:
            section = re.search(r"^\[Service\]\n(.*?)(?:^\[|\Z)", file.read(), re.MULTILINE | re.DOTALL)[1]
        lines = [line.split("=", 1) for line in section.splitlines() if line and not line.startswith("#")]
        assert len(dict(lines)) == len(lines), "a setting is there twice"
        for name, value in lines:
            settings[name] = f"{settings[name]} {value}" if name in settings and name in LISTS else value
    return settings


def _check(result, what):
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _prctl(*arguments):
    _check(_libc.prctl(*[ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5]]),
           f"prctl {arguments}")


def _mount(target, flags, source=None, kind=None):
    _check(_libc.mount(source and source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags),
                       None), f"mount {target}")


def _file_system(settings, writable):
    """ProtectSystem=strict: every mount is read-only but that of the relay's own directory, /proc and /dev."""
    assert settings["ProtectSystem"] == "strict" and settings["PrivateTmp"] == settings["ProtectHome"] == "yes"
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    _mount("/", MS_REC | MS_PRIVATE)
    _mount(writable, MS_BIND, source=writable)
    with open("/proc/self/mounts") as mounts:
        targets = [line.split()[1].encode().decode("unicode_escape") for line in mounts]
    tunables = ("/proc/sys", "/proc/fs", "/proc/bus")
    for target in tunables:
        _mount(target, MS_BIND, source=target)
    left = {writable, "/proc", "/dev", *settings.get("ReadWritePaths", "").split()}
    for target in left - {writable, "/proc", "/dev"}:
        _mount(target, MS_BIND | MS_REC, source=target)
    for target in {*targets, *tunables} - left:
        if not target.startswith("/dev/"):
            try:
                _mount(target, MS_REMOUNT | MS_BIND | MS_RDONLY)
            except OSError:
                if os.access(target, os.W_OK) and os.path.isdir(target):
                    raise


def _limits(settings):
    """Limit...=. Returns False if memory cannot be locked without limit: a container without CAP_SYS_RESOURCE."""
    good = True
    for name, number in (("LimitMEMLOCK", resource.RLIMIT_MEMLOCK), ("LimitCORE", resource.RLIMIT_CORE),
                         ("LimitNOFILE", resource.RLIMIT_NOFILE)):
        value = resource.RLIM_INFINITY if settings[name] == "infinity" else int(settings[name])
        try:
            resource.setrlimit(number, (value, value))
        except ValueError:
            good &= number != resource.RLIMIT_MEMLOCK
            value = resource.getrlimit(number)[1]
            resource.setrlimit(number, (value, value))
    return good


def _identity(settings, user, more):
    """User=, and the two sets of capabilities, with more in them."""
    ambient = {CAPABILITIES[name] for name in settings["AmbientCapabilities"].split()} | more
    bounding = {CAPABILITIES[name] for name in settings["CapabilityBoundingSet"].split()} | more
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in set(range(last + 1)) - bounding:
        _prctl(PR_CAPBSET_DROP, number)
    _prctl(PR_SET_KEEPCAPS, 1)
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    # Root keeps what the bounding set has, as execve(2) would give it.
    mask = sum(1 << number for number in (bounding if entry.pw_uid == 0 else ambient))
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(*[mask & 0xffffffff] * 3, *[mask >> 32] * 3)
    _check(_libc.capset(header, data), "capset")
    for number in ambient:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def _calls(names):
    """The system calls behind a SystemCallFilter=, without the groups' names."""
    calls, groups = set(), [name for name in names if name.startswith("@")]
    # The relay's alone: each program of systemd 257 says EXIT_STATUS there, and waits when nobody reads it.
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    while groups:
        done = subprocess.run(["systemd-analyze", "syscall-filter", groups.pop()], capture_output=True, text=True,
                              check=True, env=environment)
        found = {line.strip() for line in done.stdout.splitlines() if re.match(r"    [@\w]", line)}
        groups += [name for name in found if name.startswith("@")]
        calls |= {name for name in found if not name.startswith("@")}
    return calls | {name for name in names if not name.startswith("@")}


def _filter(settings, calls):
    """SystemCallFilter=, RestrictAddressFamilies= and RestrictNamespaces= as one filter."""
    assert settings["SystemCallErrorNumber"] == "EPERM" and settings["SystemCallArchitectures"] == "native"
    assert settings["RestrictNamespaces"] == settings["LockPersonality"] == "yes"
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(SCMP_ACT_ERRNO | EPERM)))

    def allow(name, *compares):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        array = (Compare * max(len(compares), 1))(*compares)
        if number >= 0:
            result = seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(SCMP_ACT_ALLOW), number, len(compares),
                                                    array)
            assert result == 0, f"{name}: {result}"
    for name in calls - {"socket", "unshare", "setns", "personality"}:
        allow(name)
    for family in settings["RestrictAddressFamilies"].split():
        allow("socket", Compare(0, SCMP_CMP_EQ, getattr(socket, family, 44 if family == "AF_XDP" else None), 0))
    assert seccomp.seccomp_load(context) == 0, "seccomp_load"


def become(unit, writable, user, *command):
    """As the service manager would: replaces this process by command. user stands for User=."""
    settings = service_settings(unit.split(":"))
    unknown = set(settings) - APPLIED - NOT_APPLIED
    assert not unknown, f"{unknown} of the unit: apply them here, or say why not"
    assert settings["NoNewPrivileges"] == settings["MemoryDenyWriteExecute"] == "yes"
    assert settings["User"] == settings["Group"] in ("mcxrelay", user)
    calls = _calls(settings["SystemCallFilter"].split())
    os.umask(int(settings["UMask"], 8))
    _file_system(settings, writable)
    # What no limit of locked memory allows, this capability does, too.
    more = set() if _limits(settings) else {CAP_IPC_LOCK}
    _identity(settings, user, more)
    _prctl(PR_SET_PDEATHSIG, 9)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_MDWE, 1)
    _filter(settings, calls)
    os.execv(command[0], command)


if __name__ == "__main__":
    become(*sys.argv[1:])
