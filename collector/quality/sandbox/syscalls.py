"""Which system calls a program is refused, and their numbers.

The rest is allowed up to the highest call that was known when the table was made; later ones do not exist for it.
Numbers: (x86_64, aarch64), from the kernel's ``unistd`` headers; None where the architecture lacks the call.
"""

from __future__ import annotations

import platform
from typing import Any

__all__ = ["refusals"]

_Numbers = dict[str, tuple[int | None, int | None]]

_REFUSED: _Numbers = {
    # other programs and processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "setsid": (112, 157),
    "setpgid": (109, 154), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # network and unix sockets; socketpair stays, asyncio needs it
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242),
    # System V and POSIX messages, memory that the address space limit does not see
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # attributes of files, which Landlock leaves open
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "utime": (132, None),
    "utimes": (235, None), "utimensat": (280, 88), "futimesat": (261, None), "truncate": (76, 45),
    "mknod": (133, None), "mknodat": (259, 33), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "inotify_init": (253, None), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_tree": (428, 428), "move_mount": (429, 429), "mount_setattr": (442, 442),
    # wide doors into the kernel
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "modify_ldt": (154, None), "personality": (135, 92), "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    # the machine
    "reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225),
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "iopl": (172, None), "ioperm": (173, None),
    "vhangup": (153, 58), "sync": (162, 81), "syncfs": (306, 267),
}  # fmt: skip
_OWN_PROCESS: _Numbers = {"kill": (62, 129), "tgkill": (234, 131)}
_UNKNOWN: _Numbers = {"clone3": (435, 435)}  # its flags lie behind a pointer; "not there" makes the C library use clone
_SINGLE: dict[str, tuple[int, int]] = {"clone": (56, 220), "prlimit64": (302, 261), "prctl": (157, 167),
                                        "fcntl": (72, 25), "ioctl": (16, 29)}  # fmt: skip
_CEILING = 450
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def refusals(machine: str | None = None) -> dict[str, Any] | None:
    """The table for an architecture as :func:`confine._forbid` takes it, None for one without a table.

    Args:
        machine: as uname(2) names it; None: the one of this machine.
    """
    found = _ARCHITECTURES.get(machine or platform.machine())
    if found is None:
        return None
    column, architecture = found

    def numbers(table: _Numbers) -> list[int]:
        return [number for pair in table.values() if (number := pair[column]) is not None]

    return {
        "architecture": architecture,
        "ceiling": _CEILING,
        "refused": numbers(_REFUSED),
        "unknown": numbers(_UNKNOWN),
        "own_process": numbers(_OWN_PROCESS),
        **{name: pair[column] for name, pair in _SINGLE.items()},
    }
