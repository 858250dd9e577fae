"""Runs inside: takes away from the process what a program needs not have, before the program is there.

Sent to the sandboxed interpreter as text, so it needs the standard library and nothing of ours. The order matters:
namespaces and a new root while we still may, then Landlock, user, limits, and the system call filter last.
Sources: landlock(7), seccomp(2), user_namespaces(7), mount_setattr(2); constants from the kernel's uapi headers.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import time

from collector.quality.sandbox.places import readable
from collector.quality.sandbox.wire import MEMORY_CODE

TYPE_CHECKING = False  # typing itself takes milliseconds to load, in every run
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

__all__ = ["confine"]

_TMP = "/tmp"  # noqa: S108 - a file system of its own
_libc = ctypes.CDLL(None, use_errno=True)

_NEW = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # mount, pid, network, ipc, uts
_NEW_USER = 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 2, 4, 4096, 16384, 1 << 18, 2
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _AT_RECURSIVE, _AT_FDCWD = 1, 2, 4, 0x8000, -100
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 22, 38, 9
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT, _MOUNT_SETATTR, _O_PATH = 444, 445, 446, 442, 0o10000000
_READ_FILE, _READ_DIR, _WRITE_FILE, _TRUNCATE, _MAKE_DEVICES = 1 << 2, 1 << 3, 1 << 1, 1 << 14, 1 << 6 | 1 << 11


def _sure(result: int, what: str) -> int:
    """The result of a system call, or OSError that names it."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def _path(path: str | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    done = _libc.mount(_path(source), _path(target), _path(kind), ctypes.c_ulong(flags), _path(data))
    _sure(done, f"mount {target}")


def _protect(target: str, attributes: int, flags: int = 0) -> None:
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    done = _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, _path(target), flags, wanted, len(wanted))
    _sure(done, f"mount_setattr {target}")


def _prctl(option: int, value: Any, *more: Any) -> None:
    words = [value, *more, 0, 0, 0][:4]
    _sure(_libc.prctl(option, *[w if isinstance(w, ctypes.Array) else ctypes.c_ulong(w) if isinstance(w, int) else w
                                for w in words]), f"prctl {option}")  # fmt: skip


def _new_root(read: Sequence[str], devices: Sequence[str], room_bytes: int) -> None:
    """A root of its own that holds ``read`` and nothing else, and an empty ``/tmp`` of ``room_bytes``."""
    os.umask(0o022)  # the program may run as another user than the one who makes the folders
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    links = {path: os.readlink(path) for path in read if os.path.islink(path)}  # noqa: PTH114, PTH115
    held = {p: (os.open(p, _O_PATH), os.path.isdir(p)) for p in (*read, *devices) if p not in links}  # noqa: PTH112
    base = _TMP  # only a place that surely exists; it is covered by a mount nobody else sees
    _mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path, (fd, folder) in held.items():
        target = base + path
        if folder:
            os.makedirs(target, exist_ok=True)  # noqa: PTH103
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        _mount(f"/proc/self/fd/{fd}", target, None, _MS_BIND | _MS_REC)
        if path not in devices:
            _protect(target, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, _AT_RECURSIVE)
        os.close(fd)
    for path, to in links.items():
        os.makedirs(os.path.dirname(base + path), exist_ok=True)  # noqa: PTH103, PTH120
        os.symlink(to, base + path)  # noqa: PTH211
    os.makedirs(base + _TMP, exist_ok=True)  # noqa: PTH103
    _mount("tmpfs", base + _TMP, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={room_bytes},nr_inodes=1k,mode=1777")
    os.chdir(base)
    _sure(_libc.syscall(_pivot_root(), b".", b"."), "pivot_root")
    _sure(_libc.umount2(b".", _MNT_DETACH), "umount2")
    _protect("/", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)
    os.chdir(_TMP)


def _pivot_root() -> int:
    return 155 if os.uname().machine == "x86_64" else 41


def _enter_namespaces(plan: dict[str, Any]) -> None:
    """Unshares everything and goes on as the second process of a process namespace; the others only wait."""
    uid, gid = os.getuid(), os.getgid()
    _sure(_libc.unshare(_NEW | (_NEW_USER if uid else 0)), "unshare")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    _new_root(plan["read"], plan["devices"], plan["room_bytes"])
    child = os.fork()
    if child:
        _wait(child)


def _go_on_in_a_child(nonce: str, keeper_s: int | None) -> None:
    """Leaves a keeper behind that says, after the program's last output, how much CPU and wall time it took.

    The program cannot speak after its keeper. In a namespace of ours the keeper is the first process, which the kernel
    spares from signals; the program must not be that.
    """
    child = os.fork()
    if child:
        if keeper_s is not None:
            _end_with(child, keeper_s)
        _wait(child, nonce, alone=keeper_s is not None)
    if keeper_s is not None:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")  # where memory is over, the program goes, not its keeper


def _end_with(child: int, seconds: int) -> None:
    """Ends the child when asked to (SIGTERM), and after ``seconds`` in any case: who asks may be gone by then."""
    import signal  # takes milliseconds to load, which the other ways need not wait for

    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: os.kill(child, _SIGKILL))
    signal.alarm(seconds)


def _out_of_memory() -> bool:
    """Whether the kernel ended a process of this container for the container's memory limit (cgroup v2, v1)."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:  # noqa: PTH123
                return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
        except OSError:
            continue
    return False


def _wait(child: int, nonce: str | None = None, *, alone: bool = False) -> NoReturn:
    """Ends as the child ends: its exit code, or 128 and its signal; ``alone`` in a container, whose memory may be over."""
    begun = time.monotonic()
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if nonce is not None:
        seconds = f"{usage.ru_utime + usage.ru_stime:.6f} {time.monotonic() - begun:.6f}"
        os.write(1, f"\n{nonce} {seconds}\n".encode())
    code = os.waitstatus_to_exitcode(status)
    if alone and code == -_SIGKILL and _out_of_memory():
        code = MEMORY_CODE
    os._exit(code if code >= 0 else 128 - code)


def _landlock(read: Sequence[str], write: Sequence[str], devices: Sequence[str], least_abi: int) -> None:
    """Lets the process read below ``read``, use ``write`` and ``devices``, and nothing else in the file system.

    From ABI 4 it also forbids TCP, from ABI 6 signals and abstract sockets across the border.
    """
    abi = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < least_abi:
        raise OSError(0, f"Landlock ABI {max(abi, 0)} is less than {least_abi}")
    if abi < 1:
        return
    handled = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    attributes = struct.pack("=QQQ", handled, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = _sure(_libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    wanted = [(path, _READ_FILE | _READ_DIR) for path in read]
    wanted += [(path, handled & ~_MAKE_DEVICES) for path in write]
    wanted += [(path, _READ_FILE | _WRITE_FILE | _TRUNCATE) for path in devices]
    for path, rights in wanted:
        fd = os.open(path, _O_PATH)
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        rule = struct.pack("=Qi", rights & handled, fd)
        _sure(_libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0), f"landlock_add_rule {path}")
        os.close(fd)
    _sure(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _drop_user(uid: int | None) -> None:
    """No user of the machine, if we are root, and no capability in any case."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _sure(_libc.capset(header, nothing), "capset")


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        most = value + 1 if name == "CPU" else value  # who ignores SIGXCPU is killed a second later
        if hard != resource.RLIM_INFINITY:
            value, most = min(value, hard), min(most, hard)
        resource.setrlimit(kind, (value, most))


def _filter(calls: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """A classic BPF program over ``struct seccomp_data``: number at 0, architecture at 4, arguments from 16 on."""
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, refuse, unknown = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # EPERM, ENOSYS
    program = [(load, 0, 0, 4), (equal, 1, 0, calls["architecture"]), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, calls["ceiling"] + 1), (give, 0, 0, unknown)]
    for number in calls["unknown"]:
        program += [(equal, 0, 1, number), (give, 0, 0, unknown)]
    for number in calls["refused"]:
        program += [(equal, 0, 1, number), (give, 0, 0, refuse)]

    def argument(number: int, place: int, test: int, values: Sequence[int], where_true: int, where_false: int) -> None:
        program.extend([(equal, 0, 2 + 2 * len(values), number), (load, 0, 0, 16 + 8 * place)])
        for value in values:
            program.extend([(test, 0, 1, value), (give, 0, 0, where_true)])
        program.append((give, 0, 0, where_false))

    for number in calls["own_process"]:
        argument(number, 0, equal, [os.getpid()], allow, refuse)
    argument(calls["clone"], 0, any_bit, [0x00010000], allow, refuse)  # CLONE_THREAD: threads, no processes
    argument(calls["prlimit64"], 0, equal, [0], allow, refuse)
    argument(calls["prctl"], 0, equal, [_PR_SET_PDEATHSIG], refuse, allow)
    argument(calls["fcntl"], 1, equal, [8, 15], refuse, allow)  # F_SETOWN, F_SETOWN_EX: signals to others
    argument(calls["ioctl"], 1, equal, [0x8901, 0x8902, 0x5412, 0x541C], refuse, allow)  # the same; terminal input
    return [*program, (give, 0, 0, allow)]


def _forbid(calls: dict[str, Any]) -> None:
    """Installs the filter; it holds for every thread and can never be taken off."""
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _filter(calls))
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: unsigned short, padding, pointer
    whole = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(held)))
    _prctl(_PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(whole)))


def confine(plan: dict[str, Any], nonce: str) -> None:
    """Goes on in a child of this process that is confined.

    Args:
        plan: as :mod:`collector.quality.sandbox.backends` builds it.
        nonce: tag of what is said about the run.

    Raises:
        OSError: the kernel refused a step; the program must not run then.
    """
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if plan["namespaces"]:
        _enter_namespaces(plan)
    if plan["environment"] is not None:  # a container brings its own
        os.environ.clear()
        os.environ.update(plan["environment"])
    _go_on_in_a_child(nonce, plan["keeper_s"])
    os.umask(0o077)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _landlock(plan["read"] or readable(), plan["write"], plan["devices"], plan["least_landlock"])
    _drop_user(plan["uid"])
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)  # a new process has none, and a change of user clears it
    _limit(plan["limits"])
    _forbid(plan["calls"])
