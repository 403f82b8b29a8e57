"""Runs a program under the system call filters of a systemd unit: sandbox.py UNIT PROGRAM ARGUMENTS...

systemd-analyze expands the groups of SystemCallFilter=. MemoryDenyWriteExecute=yes is the filter that systemd(1)
documents. Both are seccomp filters; the rest of the unit is not applied.
"""

import errno
import mmap
import os
import subprocess
import sys

import seccomp


def settings(unit, name):
    with open(unit, encoding="utf-8") as lines:
        return [line.partition("=")[2].strip() for line in lines if line.startswith(name + "=")]


def expand(entry):
    """Returns the system calls of a name, or of a group with its groups."""
    if not entry.startswith("@"):
        return {entry}
    text = subprocess.run(["systemd-analyze", "syscall-filter", entry], check=True, capture_output=True, text=True)
    calls = set()
    for line in text.stdout.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            calls |= expand(word)
    return calls


def allowed(unit):
    calls = set()
    for value in settings(unit, "SystemCallFilter"):
        group = set().union(*(expand(word) for word in value.lstrip("~").split()))
        calls = calls - group if value.startswith("~") else calls | group
    return calls


def deny_write_execute():
    deny = seccomp.ERRNO(errno.EPERM)
    both = mmap.PROT_WRITE | mmap.PROT_EXEC
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    rules.add_rule(deny, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        rules.add_rule(deny, call, seccomp.Arg(2, seccomp.MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC))
    rules.load()


def allow_only(calls):
    rules = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno.EPERM))
    for call in calls:
        try:
            rules.add_rule(seccomp.ALLOW, call)
        except (OSError, RuntimeError, ValueError):
            pass  # A call of another architecture.
    rules.load()


def main():
    unit, command = sys.argv[1], sys.argv[2:]
    calls = allowed(unit)
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        deny_write_execute()
    allow_only(calls)
    os.execv(command[0], command)


main()
