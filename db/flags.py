"""The one table of validity flags: what each means and what it does to a row.

Effects, weakest first:

* ``shown``: the row counts, the flag is only shown;
* ``failure``: the answer failed, its quality is 0 and its energy counts;
* ``left_out``: the row is not in ``v_runs_valid`` (it is kept, with its reason, and its cell measured again);
* ``unrated``: the configuration gets no letter while such a row is among its valid ones.

docs/protocol.md prints this table, ``v_runs_valid`` and the rating read it; there is no second one.
"""

# ruff: noqa: E501 - one flag, one line
from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["FLAGS", "Effect", "Flag", "effect_of"]

Effect = Literal["shown", "failure", "left_out", "unrated"]


class Flag(NamedTuple):
    """One flag: its name in the data, its effect on the row, and its meaning in both languages."""

    name: str
    effect: Effect
    en: str
    zh: str


# fmt: off
FLAGS: tuple[Flag, ...] = (
    # --- the answer failed: quality 0, its energy counts
    Flag("empty", "failure", "the answer is empty", "回答为空"),
    Flag("refused", "failure", "the model refused to answer", "模型拒绝回答"),
    Flag("cut_off", "failure", "the answer ran into the output cap", "回答达到输出上限被截断"),
    Flag("looping", "failure", "the answer repeats itself endlessly", "回答陷入循环重复"),
    Flag("wrong_language", "failure", "the answer is in another language than asked for", "回答语言与要求不符"),
    # --- engine or transport fault: no answer came, a retry is a new attempt
    Flag("connect_failed", "left_out", "the engine could not be reached", "无法连接引擎"),
    Flag("connection_lost", "left_out", "the connection broke in mid-answer", "回答途中连接中断"),
    Flag("http_400", "left_out", "the engine refused the request (400)", "引擎拒绝请求（400）"),
    Flag("http_404", "left_out", "the engine does not have the model (404)", "引擎没有该模型（404）"),
    Flag("http_500", "left_out", "the engine failed (500)", "引擎内部错误（500）"),
    Flag("http_503", "left_out", "the engine was busy (503)", "引擎繁忙（503）"),
    Flag("http_error", "left_out", "the engine answered with another HTTP error", "引擎返回其他 HTTP 错误"),
    Flag("error_line", "left_out", "an error line came in mid-stream", "流中出现错误行"),
    Flag("malformed_line", "left_out", "a line of the stream was not valid JSON of the API", "流中有无法解析的行"),
    Flag("line_too_long", "left_out", "a line of the stream was longer than allowed", "流中有超长的行"),
    Flag("invalid_utf8", "left_out", "the stream held bytes that are not UTF-8", "流中有非 UTF-8 字节"),
    Flag("no_final_chunk", "left_out", "the stream ended without its final chunk", "流结束但没有最终块"),
    Flag("hang_first_token", "left_out", "no first token within the limit", "在时限内没有首个 token"),
    Flag("hang_mid_stream", "left_out", "the stream stalled", "流中途停滞"),
    Flag("deadline", "left_out", "the answer took longer than the request's deadline", "回答超过请求时限"),
    Flag("counts_missing", "left_out", "the final chunk lacks its token counts", "最终块缺少 token 计数"),
    Flag("counts_wrong", "left_out", "the final chunk's counts contradict the stream", "最终块计数与流内容矛盾"),
    Flag("engine_crashed", "left_out", "the engine's process ended", "引擎进程退出"),
    Flag("engine_not_ready", "left_out", "the engine did not become ready after its restart", "引擎重启后未就绪"),
    Flag("aborted", "left_out", "stopped by the user", "被用户中止"),
    # --- energy, sensors, machine: measured again, at most twice
    Flag("energy_missing", "left_out", "no sensor gave an energy for this answer", "没有传感器给出该回答的能耗"),
    Flag("energy_zero", "left_out", "the energy read zero or negative", "能耗读数为零或负"),
    Flag("undersampled", "left_out", "too few samples cover the answer", "采样不足以覆盖该回答"),
    Flag("sampler_died", "left_out", "the sampler stopped during the answer", "采样进程在回答期间退出"),
    Flag("counter_reset", "left_out", "an energy counter was reset during the answer", "能量计数器在回答期间复位"),
    Flag("counter_mismatch", "shown", "counter and power integral differ by more than 5 %", "计数器与功率积分相差超过 5%"),
    Flag("throttled", "left_out", "the GPU was throttled", "GPU 降频"),
    Flag("temperature_drift", "left_out", "the GPU began the answer more than 10 C away from the case's first one", "回答开始时 GPU 温度与本组首个回答相差超过 10 C"),
    Flag("foreign_gpu_process", "left_out", "another program used the GPU", "其他程序占用 GPU"),
    Flag("queued", "left_out", "the engine was busy with another request", "引擎正忙于其他请求"),
    Flag("reloaded", "left_out", "the engine loaded the model, or waited for another one, inside the answer", "回答期间引擎重新加载了模型或等待其他模型"),
    Flag("cpu_spill", "left_out", "part of the model ran on the CPU", "部分模型溢出到 CPU"),
    Flag("clock_jump", "left_out", "the wall clock jumped", "系统时钟跳变"),
    Flag("swap", "left_out", "the machine swapped", "机器发生换页"),
    Flag("battery", "left_out", "the machine ran on its battery", "机器使用电池供电"),
    Flag("baseline_drift", "shown", "the idle baseline drifted by more than 10 %", "空闲基线漂移超过 10%"),
    # --- shown only
    Flag("client_lag", "shown", "our client received chunks more than 5 ms late (p99)", "客户端接收延迟 p99 超过 5 ms"),
    Flag("not_resolvable", "shown", "the window is too short to resolve its energy within 10 %", "窗口过短，能耗无法分辨到 10%"),
    Flag("prompt_cached", "shown", "part of the prompt came from the engine's cache", "部分提示来自引擎缓存"),
    Flag("prompt_truncated", "left_out", "the engine cut the prompt", "引擎截断了提示"),
    Flag("context_lowered", "left_out", "the engine lowered the context length", "引擎降低了上下文长度"),
    Flag("context_shifted", "shown", "the answer ran past its context", "回答超出上下文"),
    Flag("batched", "shown", "measured in a batch of the same item", "与同一题目成批测量"),
    Flag("gpu_memory_held", "shown", "GPU memory was not back at its baseline before the model was loaded", "加载模型前 GPU 显存未回到基线"),
    Flag("not_cooled", "shown", "the GPU was not back at its reference temperature before the case", "该组开始前 GPU 未降到参考温度"),
    Flag("busy_machine", "shown", "other programs kept a quarter of the processor busy", "其他程序占用了四分之一以上的处理器"),
    # --- the configuration cannot be rated
    Flag("mixed_scope", "unrated", "energy scopes are mixed", "能耗范围混杂"),
)
# fmt: on

_EFFECTS: dict[str, Effect] = {flag.name: flag.effect for flag in FLAGS}


def effect_of(name: str) -> Effect:
    """Effect of a flag; an unknown name is left out of the rating, so that a newer one never counts silently."""
    return _EFFECTS.get(name, "left_out")
