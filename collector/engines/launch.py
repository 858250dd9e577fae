"""Runs a command that ends when the process that asked for it ends, however that one ended.

``python -I -S launch.py PARENT_PID COMMAND...`` asks the Linux kernel for SIGTERM at its parent's death,
which survives ``exec``, and becomes the command. A small program of its own, because running Python code
between fork and exec of a process with threads can deadlock. To the kernel the parent is the thread that
started us, so that one has to live as long as the engine is wanted. Standard library only: it runs without
the site packages.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Never returns when all goes well."""
    parent, *command = arguments
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):
        return 1  # the parent ended before the kernel knew
    try:
        os.execvp(command[0], command)  # noqa: S606  (our own command line, no shell)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
