"""A load in steps, as a process: ``python -m collector.calibration_load cpu|gpu``.

Says ``ready`` and then does, in every period, work for the share of it that the last line of standard input names
(0 to 1); ends with standard input. The GPU is the one that CUDA_VISIBLE_DEVICES leaves.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

__all__ = ["cpu_work", "gpu_work", "main", "work_in_steps"]

_PERIOD_S = 0.1
_MATRIX = 4096  # 32 MiB each in half precision: fits everywhere and fills every GPU


def cpu_work() -> None:
    """About a millisecond of arithmetic."""
    sum(number * number for number in range(10_000))


def gpu_work() -> Callable[[], None]:
    """Prepares a matrix product on the GPU and returns what runs it once.

    Raises:
        RuntimeError: PyTorch sees no CUDA device.
    """
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no CUDA device")
    left, right = (torch.randn(_MATRIX, _MATRIX, device="cuda", dtype=torch.float16) for _ in range(2))
    out = torch.empty_like(left)

    def product() -> None:
        torch.matmul(left, right, out=out)
        torch.cuda.synchronize()

    product()  # the first one pays for loading the kernels
    return product


def work_in_steps(work: Callable[[], None], share: Callable[[], float | None]) -> None:
    """Works for ``share()`` of every period, until it is None."""
    next_s = time.monotonic()
    while (part := share()) is not None:
        busy_until_s = next_s + part * _PERIOD_S
        while time.monotonic() < busy_until_s:
            work()
        next_s = max(next_s + _PERIOD_S, time.monotonic() - _PERIOD_S)
        time.sleep(max(0.0, next_s - time.monotonic()))


def main() -> int:
    """Runs until standard input ends; 3 where there is nothing to load."""
    try:
        work = gpu_work() if sys.argv[1] == "gpu" else cpu_work
    except (ImportError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 3
    part: list[float | None] = [0.0]

    def listen() -> None:
        for line in sys.stdin:
            part[0] = min(1.0, max(0.0, float(line)))
        part[0] = None

    threading.Thread(target=listen, daemon=True).start()
    print("ready", flush=True)
    work_in_steps(work, lambda: part[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
