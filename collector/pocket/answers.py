"""From a request and a loaded model to the lines of an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collector.errors import EngineError
from collector.pocket import wire
from collector.pocket.api import ApiError, ChatRequest, GenerateRequest, Options
from collector.pocket.catalog import ModelCard
from collector.pocket.generation import BrokenText, Finish, generate

if TYPE_CHECKING:
    from collector.pocket.runner import Runner  # not at run time: it imports torch

__all__ = ["Task", "chunks", "join", "prompt_of"]

NO_UTF8 = (
    "llama-server chat error: map[code:500 message:The model produced output that does not match the expected "
    "peg-native format type:server_error]"
)


@dataclass(frozen=True, slots=True)
class Task:
    """One answer to be generated.

    Attributes:
        endpoint: whose shapes the answer has.
        request: what was asked for.
        options: its options.
        text: the prompt as the model reads it.
        prompt: the same as token ids, fitting the context.
        start_ns: monotonic, when the request came in; likewise loaded_ns, when the model was ready.
    """

    endpoint: wire.Endpoint
    request: GenerateRequest | ChatRequest
    options: Options
    text: str
    prompt: list[int]
    start_ns: int
    loaded_ns: int


def _runner_error(kind: str, message: str, **more: int) -> ApiError:
    """A refusal of the runner: its own JSON as text inside the error, as the imitated server hands it on."""
    error = {"error": {"code": 400, "message": message, "type": kind, **more}}
    return ApiError(400, json.dumps(error, separators=(",", ":")))


def prompt_of(
    card: ModelCard, request: GenerateRequest | ChatRequest, options: Options, runner: Runner
) -> tuple[str, list[int]]:
    """The prompt as text and as token ids that leave room for an answer.

    Raises:
        ApiError: what the model cannot read, or more than the context holds.
    """
    _refuse_content(request)
    num_ctx, model = runner.session.num_ctx, runner.model
    if isinstance(request, ChatRequest):
        text = _chat_text(request, runner)
        prompt = model.encode(text)
    else:
        text = _generate_text(card, request, runner)
        prompt = model.encode(text)
        if request.truncate and request.shift and len(prompt) >= num_ctx:
            prompt = _truncated(prompt, num_ctx, options.num_keep)
    if len(prompt) >= num_ctx:
        message = (
            f"request ({len(prompt)} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
        )
        raise _runner_error("exceed_context_size_error", message, n_prompt_tokens=len(prompt), n_ctx=num_ctx)
    return text, prompt


def _refuse_content(request: GenerateRequest | ChatRequest) -> None:
    if request.has_images:
        message = "Multimodal data provided, but model does not support multimodal requests."
        raise _runner_error("invalid_request_error", message)
    if request.format == "json" or isinstance(request.format, dict):
        raise ApiError(501, "answers in a given format are not supported by the embedded engine")
    if request.format is not None:
        quoted = json.dumps(json.dumps(request.format))
        raise ApiError(500, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object')


def _chat_text(request: ChatRequest, runner: Runner) -> str:
    """The conversation as the model reads it; old messages go while it does not fit, system messages stay."""
    messages: Sequence[dict[str, str]] = request.messages
    text = _rendered(runner, messages)
    for first in range(1, len(messages) if request.truncate else 0):
        if len(runner.model.encode(text)) <= runner.session.num_ctx:
            break
        system = [message for message in messages[:first] if message["role"] == "system"]
        text = _rendered(runner, [*system, *messages[first:]])
    return text


def _generate_text(card: ModelCard, request: GenerateRequest, runner: Runner) -> str:
    text = request.prompt
    if not request.raw and card.chat_template:
        system = [{"role": "system", "content": request.system}] if request.system else []
        text = _rendered(runner, [*system, {"role": "user", "content": text}])
    if request.context:
        if not all(0 <= token < len(runner.model.tokenizer) for token in request.context):
            raise ApiError(500, "context holds a token this model does not have")
        text = runner.model.decode(request.context) + text
    return text


def _rendered(runner: Runner, messages: Sequence[dict[str, str]]) -> str:
    try:
        return runner.model.render_chat(messages)
    except EngineError as error:
        raise ApiError(500, error.en) from error


def _truncated(prompt: list[int], num_ctx: int, num_keep: int) -> list[int]:
    """The first ``num_keep`` tokens and the end of a prompt, so that about half of the context stays free.

    The rule is Ollama's (``contextShiftPromptLimit``): with 512 and 4 it leaves 258 tokens.
    """
    keep = min(num_keep if num_keep >= 0 else len(prompt), num_ctx - 1)
    limit = num_ctx - max((num_ctx - keep) // 2, 1)
    return prompt[:keep] + prompt[keep + len(prompt) - limit :]


def chunks(task: Task, runner: Runner, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The answer's chunks; the last one is final, unless the answer breaks off in silence as Ollama's can."""
    request, endpoint = task.request, task.endpoint
    events = generate(
        runner.answer(task.options, len(task.prompt), request.top_logprobs),
        task.prompt,
        task.options,
        shift=request.shift,
        end_on_repeats=endpoint == "generate",
        with_logprobs=request.logprobs,
        gone=gone,
    )
    written: list[str] = []
    try:
        for event in events:
            if isinstance(event, Finish):
                yield _final(task, event, runner, "".join(written))
            else:
                written.append(event.text)
                yield wire.chunk(endpoint, request.model, event.text, logprobs=event.logprobs)
    except BrokenText:
        if endpoint == "chat":
            raise ApiError(500, NO_UTF8) from None


def _final(task: Task, finish: Finish, runner: Runner, answer: str) -> dict[str, Any]:
    metrics = wire.Metrics(
        total_duration=time.monotonic_ns() - task.start_ns,
        load_duration=task.loaded_ns - task.start_ns,
        prompt_eval_count=finish.prompt_tokens,
        prompt_eval_duration=finish.prompt_ns,
        eval_count=finish.output_tokens,
        eval_duration=finish.output_ns,
    )
    with_context = isinstance(task.request, GenerateRequest) and not task.request.raw
    context = runner.model.encode(task.text + answer) if with_context else ()
    model, reason = task.request.model, finish.reason
    return wire.chunk(task.endpoint, model, "", done_reason=reason, context=context, metrics=metrics)


def join(endpoint: wire.Endpoint, parts: Iterator[dict[str, Any]], model: str) -> dict[str, Any]:
    """An answer in one piece: the last chunk with the text of all of them."""
    text, logprobs, last = "", [], wire.chunk(endpoint, model, "")
    for last in parts:
        text += last["message"]["content"] if endpoint == "chat" else last["response"]
        logprobs += last.pop("logprobs", [])
    if endpoint == "chat":
        last["message"]["content"] = text
    else:
        last["response"] = text
    return {**last, "logprobs": logprobs} if logprobs else last
