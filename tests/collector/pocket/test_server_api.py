"""What the embedded engine's server accepts as a request, and how its refusals read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.pocket import api, wire
from collector.pocket.api import FOREVER_NS, ApiError, Options, RunnerOptions

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def refusal(body: object, parse: Any = api.parse_generate) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.status, caught.value.message


# --- JSON -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "missing request body"),
        (b" \n\t", "missing request body"),
        (b'{"model": ', "unexpected EOF"),
        (b'{"model": "a', "unexpected EOF"),
        (b'{"model": "a"', "unexpected EOF"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b'{"prompt": NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"prompt": -Infinity}', "invalid character 'I' looking for beginning of value"),
        (b"[1]", "json: cannot unmarshal array into Go value of type object"),
        (b"true", "json: cannot unmarshal bool into Go value of type object"),
        (b"3", "json: cannot unmarshal number into Go value of type object"),
        (b"[" * 100_000, "json: exceeded max depth"),
        (b'{"options": {"seed": 1e999}}', "json: cannot unmarshal number 1e999 into Go value of type float64"),
    ],
)
def test_bad_json(body: bytes, message: str) -> None:
    assert refusal(body) == (400, message)


def test_only_the_first_value_counts() -> None:
    assert api.decode_object(b'{"a": 1} {"b"') == {"a": 1}


def test_an_endless_integer_is_refused() -> None:
    status, message = refusal(b'{"options": {"seed": 1' + b"0" * 5000 + b"}}")
    assert status == 400
    assert message.startswith("json: cannot unmarshal number")


def test_broken_text_becomes_replacement_characters() -> None:
    assert api.parse_generate(b'{"model": "a", "prompt": "\xff\\ud800x\\ud83d\\ude00"}').prompt == "��x😀"


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_crash_the_parsers(body: bytes) -> None:
    for parse in (api.parse_generate, api.parse_chat):
        try:
            parse(body)
        except ApiError as error:
            assert error.status == 400


FIELDS = (
    "model", "prompt", "messages", "stream", "keep_alive", "think", "format", "options", "shift", "truncate", "logprobs",
    "top_logprobs", "context", "images", "tools", "raw", "system", "suffix", "template",
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_object_crashes_the_parsers(body: dict[str, Any]) -> None:
    for parse in (api.parse_generate, api.parse_chat):
        try:
            request = parse(json.dumps(body).encode())
            api.parse_options(request.raw_options)
        except ApiError as error:
            assert error.status in {400, 500}
        else:
            request.model.encode()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", 3, "json: cannot unmarshal number into field model of type string"),
        ("prompt", ["a"], "json: cannot unmarshal array into field prompt of type string"),
        ("stream", "no", "json: cannot unmarshal string into field stream of type bool"),
        ("options", [], "json: cannot unmarshal array into field options of type object"),
        ("top_logprobs", True, "json: cannot unmarshal bool into field top_logprobs of type int"),
        ("context", ["a"], "json: cannot unmarshal array into field context of type []int"),
        ("top_logprobs", 21, "top_logprobs must be between 0 and 20"),
        ("top_logprobs", -1, "top_logprobs must be between 0 and 20"),
        ("think", "deep", 'invalid think value: "deep" (must be "high", "medium", "low", "max", true, or false)'),
        ("think", 1, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'),
        ("keep_alive", True, "Unsupported type: 'bool'"),
    ],
)
def test_wrong_types(field: str, value: object, message: str) -> None:
    assert refusal({"model": "a", field: value}) == (400, message)


def test_chat_messages() -> None:
    body = {"model": "a", "messages": [{"role": "User", "content": "x"}, {"role": "system"}]}
    request = api.parse_chat(json.dumps(body).encode())
    assert request.messages == ({"role": "user", "content": "x"}, {"role": "system", "content": ""})
    assert refusal({"messages": ["x"]}, api.parse_chat)[0] == 400
    assert refusal({"messages": [{"role": "user", "content": 5}]}, api.parse_chat)[0] == 400


def test_defaults() -> None:
    request = api.parse_generate(b'{"model": "a"}')
    assert request.stream
    assert request.truncate
    assert request.shift
    assert not request.think
    assert request.keep_alive_ns is None
    assert api.parse_options({}) == Options()


# --- names ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("tiny", ("tiny", "latest")),
        ("Tiny:F16", ("tiny", "f16")),
        ("library/tiny:f16", ("tiny", "f16")),
        ("registry.ollama.ai/library/tiny", ("tiny", "latest")),
        ("someone/tiny", ("registry.ollama.ai/someone/tiny", "latest")),
        ("localhost:5000/library/tiny:x", ("localhost:5000/library/tiny", "x")),
    ],
)
def test_names(name: str, parsed: tuple[str, str]) -> None:
    assert api.parse_model_name(name) == parsed


@pytest.mark.parametrize(
    "name", ["no pe!!", "", ":", "a:", "a:b:c", "/a", "a/b/c/d", "-a", "a" * 81, "名", "a\n", "..", "../a"]
)
def test_malformed_names(name: str) -> None:
    with pytest.raises(ApiError, match="^invalid model name$"):
        api.parse_model_name(name)


# --- keep_alive -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0), (1.5, 1.5), (300, 300), ("5m", 300), ("1s", 1), ("1h2m3.5s", 3723.5), ("250ms", 0.25), ("0", 0), ("+2s", 2), (".5s", 0.5)],
)  # fmt: skip
def test_durations(value: object, seconds: float) -> None:
    assert api.parse_duration_ns(value) == round(seconds * 1e9)


@pytest.mark.parametrize("value", [-1, -0.5, "-1m", 1e300])
def test_for_ever(value: object) -> None:
    assert api.parse_duration_ns(value) == FOREVER_NS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("five", 'time: invalid duration "five"'),
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("-", 'time: invalid duration "-"'),
        ("99999999999h", 'time: invalid duration "99999999999h"'),
    ],
)
def test_bad_durations(value: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        api.parse_duration_ns(value)
    assert (caught.value.status, caught.value.message) == (400, message)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_durations_never_crash(text: str) -> None:
    try:
        assert 0 <= api.parse_duration_ns(text) <= FOREVER_NS
    except ApiError as error:
        assert error.status == 400


# --- options ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ({"num_predict": 1.5}, Options(num_predict=1)),
        ({"num_predict": 0}, Options(num_predict=-1)),
        ({"num_ctx": 0}, Options(num_ctx=4)),
        ({"num_ctx": 1.5}, Options(num_ctx=4)),
        ({"seed": 1e30}, Options(seed=2**63 - 1)),
        ({"temperature": 1, "top_k": 3, "top_p": 0.5}, Options(temperature=1.0, top_k=3, top_p=0.5)),
        ({"temperature": None, "max_tokens": 3, "bogus": []}, Options()),
        ({"stop": ["a", ""]}, Options(stop=("a",))),
        ({"min_p": 0, "repeat_penalty": 1, "repeat_last_n": 9, "draft_num_predict": 1}, Options()),
        ({"num_gpu": 0, "use_mmap": False}, Options(rest=(("num_gpu", 0), ("use_mmap", False)))),
    ],
)
def test_options(raw: dict[str, Any], parsed: Options) -> None:
    assert api.parse_options(raw) == parsed


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        ({"num_predict": "many"}, 500, 'option "num_predict" must be of type integer'),
        ({"seed": True}, 500, 'option "seed" must be of type integer'),
        ({"temperature": "hot"}, 500, 'option "temperature" must be of type float32'),
        ({"use_mmap": 1}, 500, 'option "use_mmap" must be of type boolean'),
        ({"stop": "."}, 500, 'option "stop" must be of type array'),
        ({"stop": ["a", 1]}, 500, 'option "stop" must be of an array of strings'),
        ({"min_p": 0.1}, 400, 'option "min_p" is not supported by the embedded engine'),
        ({"repeat_penalty": 1.1}, 400, 'option "repeat_penalty" is not supported by the embedded engine'),
    ],
)
def test_bad_options(raw: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        api.parse_options(raw)
    assert (caught.value.status, caught.value.message) == (status, message)


def test_runner_options() -> None:
    assert Options().runner(True) == RunnerOptions(4096, True, 0, True, ())
    assert Options(num_ctx=64, num_thread=2).runner(False) == RunnerOptions(64, False, 2, False, ())


# --- answers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_000_000_001, "1970-01-01T00:00:01.000000001Z"),
        (1_795_000_000_123_456_700, "2026-11-18T11:06:40.1234567Z"),
    ],
)
def test_stamp(unix_ns: int, text: str) -> None:
    assert wire.stamp(unix_ns) == text


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_stamps_read_back(unix_ns: int) -> None:
    text = wire.stamp(unix_ns)
    assert datetime.fromisoformat(text).timestamp() == pytest.approx(unix_ns / 1e9, abs=1e-3)


@settings(deadline=None)
@given(st.text())
def test_lines_stay_lines(text: str) -> None:
    line = wire.encode({"text": text.encode("utf-8", "replace").decode()})
    assert b"\n" not in line
    assert not set(line) & set(b"<>&")
    assert json.loads(line)["text"] == text.encode("utf-8", "replace").decode()


def test_zeros_are_left_out() -> None:
    metrics = wire.Metrics(5, 0, 1, 2, 1, 0)
    assert list(metrics.fields()) == ["total_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count"]
