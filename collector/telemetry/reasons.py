"""Why a sensor does not work and what helps, in both languages, by a stable code.

A capability row carries the code and the finished sentences, so that whoever reads the row needs no table.
"""

# ruff: noqa: E501 - one reason, one entry
from __future__ import annotations

from typing import Final, NamedTuple, TypedDict

__all__ = ["REASONS", "Reason", "Why", "why"]


class Reason(NamedTuple):
    """Sentences of one code; ``{name}`` is filled in by :func:`why`, a cure may be missing."""

    en: str
    zh: str
    cure_en: str | None = None
    cure_zh: str | None = None


class Why(TypedDict):
    """The fields of a capability row that say why it is not ok."""

    reason_code: str
    reason: str
    reason_zh: str
    cure: str | None
    cure_zh: str | None


_GROUP_EN = "add the user to the group of /dev/nvidia* (often video or render), or leave the container"
_GROUP_ZH = "把用户加入 /dev/nvidia* 所属的组（通常为 video 或 render），或改在容器之外运行"

REASONS: Final[dict[str, Reason]] = {
    # --- psutil
    "no_disk_counters": Reason("the system shows no disk counters", "系统不提供磁盘计数器"),
    "cpu_times_unreadable": Reason("CPU times of processes are not readable", "无法读取进程的 CPU 时间"),
    # --- NVML
    "nvml_unloadable": Reason("the NVML library {library} cannot be loaded: {error}", "无法加载 NVML 库 {library}：{error}"),
    "nvml_denied": Reason("NVML refuses access to the GPUs", "NVML 拒绝访问 GPU", _GROUP_EN, _GROUP_ZH),
    "no_nvidia_driver": Reason("no NVIDIA driver on this machine", "本机没有 NVIDIA 驱动"),
    "nvml_error": Reason("NVML does not start: {error}", "NVML 无法启动：{error}"),
    "no_gpu": Reason("the NVIDIA driver shows no GPU", "NVIDIA 驱动没有列出任何 GPU"),
    "gpu_lost": Reason(
        "GPU {index} is listed and does not answer: it is lost, or not this user's", "GPU {index} 在列表中但没有应答：已掉卡，或不属于当前用户",
        "look at nvidia-smi; a lost GPU comes back with the driver or the machine restarted", "请查看 nvidia-smi；掉卡后需重启驱动或机器",
    ),
    "gpu_field_unsupported": Reason("GPU {index} does not report it", "GPU {index} 不提供该读数"),
    "gpu_field_denied": Reason("GPU {index} refuses to tell it to this user", "GPU {index} 不允许当前用户读取该值", _GROUP_EN, _GROUP_ZH),
    # --- RAPL
    "no_rapl_zone": Reason(
        "no RAPL package zone under /sys/class/powercap (virtual machine, other system or CPU, or the module intel_rapl_msr is not loaded)",
        "/sys/class/powercap 下没有 RAPL package 区（虚拟机、其他系统或 CPU，或未加载模块 intel_rapl_msr）",
    ),
    "rapl_unreadable": Reason("energy_uj of a zone cannot be read", "某个区的 energy_uj 无法读取"),
    "rapl_denied": Reason(
        "energy_uj is readable by root only", "energy_uj 只有 root 可读",
        "sudo chmod o+r /sys/class/powercap/*/energy_uj (until the next boot), or a udev rule that does it",
        "sudo chmod o+r /sys/class/powercap/*/energy_uj（重启后失效），或用 udev 规则长期生效",
    ),
    # --- wall meters
    "meter_unreachable": Reason(
        "the meter at {address} does not answer ({error})", "位于 {address} 的电表没有应答（{error}）",
        "check its address and that this machine is in the same network: curl {url}",
        "请检查地址，并确认本机与电表在同一网络：curl {url}",
    ),
    "meter_public": Reason(
        "the meter's name {host} stands for {address}, which is not in a private network", "电表名称 {host} 指向 {address}，不在本地网络中",
        "give the meter's address in your own network", "请填写电表在本地网络中的地址",
    ),
    "meter_denied": Reason(
        "the meter at {address} asks for a password", "位于 {address} 的电表要求密码",
        "switch off the password of the meter's local web interface: passwords are neither taken nor stored here",
        "请关闭电表本地网页的密码：本程序不接收也不保存密码",
    ),
    "meter_nonsense": Reason(
        "what {address} answers is not that of a {kind} meter ({error})", "{address} 的应答不是 {kind} 电表的格式（{error}）",
        "look at what it says: curl {url}", "请查看其应答：curl {url}",
    ),
    "meter_no_counter": Reason(
        "the meter gives power but no energy counter; its power is integrated instead", "电表只给出功率而没有电能计数器；改为对功率积分"
    ),
    "meter_coarse_counter": Reason(
        "the meter's energy counter moves in steps of {step_j:.0f} J, too coarse for single answers; its power is integrated instead",
        "电表的电能计数器步长为 {step_j:.0f} J，对单个回答过粗；改为对功率积分",
        "on a Tasmota plug: EnergyRes 5", "Tasmota 插座可执行：EnergyRes 5",
    ),
    "meter_slow_counter": Reason(
        "the meter's energy counter stood still for {seconds:.0f} s at start-up; its power is integrated instead",
        "启动时电表的电能计数器在 {seconds:.0f} 秒内没有变化；改为对功率积分",
    ),
    "meter_no_power": Reason("the meter gives an energy counter but no power", "电表只给出电能计数器而没有功率"),
    # --- Zeus
    "zeus_missing": Reason(
        "the optional package zeus is not installed", "未安装可选软件包 zeus", "pip install zeus", "pip install zeus"
    ),
    "zeus_apple_missing": Reason(
        "the optional package zeus is here, its part for Apple silicon is not", "已安装 zeus，但缺少其 Apple 芯片部分",
        "pip install 'zeus[apple]'", "pip install 'zeus[apple]'",
    ),
    "zeus_no_device": Reason("Zeus finds no {what} that it can read here", "Zeus 在本机没有找到可读的{what_zh}"),
    "zeus_no_emi": Reason(
        "Zeus finds no CPU energy meter of Windows (EMI)", "Zeus 没有找到 Windows 的 CPU 电能计（EMI）",
        "EMI needs Windows 11 on real hardware and a version of zeus after 0.16: pip install -U zeus",
        "EMI 需要物理机上的 Windows 11，以及 0.16 之后的 zeus：pip install -U zeus",
    ),
    "zeus_denied": Reason(
        "the system refuses Zeus the {what}: {error}", "系统不允许 Zeus 读取{what_zh}：{error}",
        "allow this user to read it, or run as a user who may", "请授予当前用户读取权限，或换用有权限的用户",
    ),
    "zeus_unsupported": Reason("the {what} does not report its energy to Zeus ({error})", "{what_zh}不向 Zeus 提供能耗（{error}）"),
}  # fmt: skip


def why(code: str, **details: object) -> Why:
    """The fields of a capability row for ``code``, sentences filled in with ``details``.

    Raises:
        KeyError: a code or detail that the table does not know; sensors are tested for every code they use.
    """
    reason = REASONS[code]
    cure_en, cure_zh = (None if cure is None else cure.format(**details) for cure in (reason.cure_en, reason.cure_zh))
    return {
        "reason_code": code, "reason": reason.en.format(**details), "reason_zh": reason.zh.format(**details),
        "cure": cure_en, "cure_zh": cure_zh,
    }  # fmt: skip
