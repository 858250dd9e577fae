"""What each recorded exchange is: read by a person, one line each.

ANSWERS: fault, done_reason, prompt tokens, output tokens. OTHERS: the client's method that reads it, and what
it says.
"""

from __future__ import annotations

__all__ = ["ANSWERS", "OTHERS"]

Answer = tuple[str | None, str | None, int | None, int | None]


def _ok(text: str) -> dict[str, Answer]:
    rows = (line.split() for line in text.strip().splitlines())
    return {key: (None, reason, int(prompt), int(output)) for key, reason, prompt, output in rows}


def _fault(text: str) -> dict[str, Answer]:
    rows = (line.split() for line in text.strip().splitlines())
    return {key: (name, None, None, None) for name, *keys in rows for key in keys}


ANSWERS: dict[str, Answer] = {
    **_ok("""
v0.32/chat_stop stop 14 4
v0.32/chat_length length 14 3
v0.32/chat_cached stop 14 2
v0.32/chat_thinking stop 14 5
v0.32/chat_held_back_bytes stop 14 6
v0.32/chat_one_token length 14 1
v0.32/chat_load_inside stop 14 2
v0.32/chat_queued stop 14 2
v0.9/chat_stop stop 14 2
v0.32.15/cache_after_other_prompts length 551 8
v0.32.15/cache_first length 551 8
v0.32.15/cache_nonce_first length 554 8
v0.32.15/cache_repeat_identical length 551 8
v0.32.15/cache_shared_prefix length 555 8
v0.32.15/chat_bad_role length 23 4
v0.32.15/chat_cold_load length 38 8
v0.32.15/chat_long_greedy length 38 800
v0.32.15/chat_nostream length 38 64
v0.32.15/chat_stream length 38 64
v0.32.15/chat_system_multi length 73 4
v0.32.15/context_shift_beyond_num_ctx length 38 600
v0.32.15/context_shift_false length 38 218
v0.32.15/error_option_type_ctx length 1 40
v0.32.15/format_json length 1 16
v0.32.15/generate_logprobs length 19 8
v0.32.15/generate_nostream stop 19 43
v0.32.15/generate_raw length 2 4
v0.32.15/generate_stop_sequence stop 19 2
v0.32.15/generate_stream_length stop 19 43
v0.32.15/generate_stream_repeat stop 19 43
v0.32.15/keepalive_1s length 25 2
v0.32.15/num_ctx_huge length 1 16
v0.32.15/num_ctx_zero length 1 16
v0.32.15/num_predict_one length 1 1
v0.32.15/num_predict_over_10x length 38 640
v0.32.15/ok_think_false length 1 16
v0.32.15/one_slot_queue_0 stop 6 7
v0.32.15/one_slot_queue_1 stop 6 9
v0.32.15/one_slot_queue_2 stop 6 44
v0.32.15/option_unknown_ignored length 1 16
v0.32.15/prompt_empty_space length 1 16
v0.32.15/prompt_nul length 3 16
v0.32.15/prompt_too_long_truncated length 258 16
v0.32.15/queue_full_0_running length 25 900
v0.32.15/queue_full_1_waits_for_other_model length 25 8
v0.32.15/queue_full_2_waits_for_other_model length 25 8
v0.32.15/reload_num_ctx length 551 8
v0.32.15/reload_num_thread length 551 8
v0.32.15/repeat_abort_chat_stream length 24 300
v0.32.15/runner_stopped_3s_chat length 38 300
v0.32.15/temperature_negative length 1 16
v0.32.15/unload_during_generation length 38 300
v0.9.6/cache_after_other_prompts length 400 4
v0.9.6/cache_repeat_identical length 400 4
v0.9.6/num_predict_one length 19 1
v0.9.6/option_unknown_ignored length 19 4
v0.9.6/prompt_too_long_chat length 1024 4
v0.9.6/prompt_too_long_truncated length 1024 4
"""),
    **_fault("""
http_400 v0.32/think_unsupported v0.32/prompt_too_long
http_400 v0.32.15/chat_tools_unsupported v0.32.15/error_bad_json v0.32.15/error_empty_body
http_400 v0.32.15/error_images_unsupported v0.32.15/error_model_name_bad_chat v0.32.15/error_no_model_chat
http_400 v0.32.15/error_model_name_bad_generate v0.32.15/error_suffix_unsupported v0.32.15/keepalive_bad
http_400 v0.32.15/error_think_unsupported v0.32.15/error_top_logprobs v0.9.6/error_think_unsupported
http_400 v0.32.15/prompt_too_long_chat v0.32.15/prompt_too_long_chat_truncate_false
http_400 v0.32.15/prompt_too_long_truncate_false
http_404 v0.32/model_missing v0.32.15/error_delete_missing v0.32.15/error_model_missing_chat
http_404 v0.32.15/error_model_missing_generate v0.32.15/error_no_model v0.32.15/error_not_found_path
http_404 v0.9.6/error_model_missing_generate
http_500 v0.32/option_type v0.32.15/error_format_bad v0.32.15/error_option_type
http_500 v0.32.15/invalid_utf8_chat_nostream v0.9.6/error_option_type
http_503 v0.32/busy v0.32.15/queue_full_3_rejected
http_error v0.32/cloud_disabled v0.32.15/error_embed_capability v0.32.15/error_wrong_method
error_line v0.32/chat_error_line v0.32.15/chat_zh v0.32.15/invalid_utf8_chat_stream
error_line v0.32.15/runner_kill9_chat v0.32.15/runner_segv_chat v0.32.15/runner_term_chat
error_line v0.32.15/utf8_chunks_fewer_than_tokens
malformed_line v0.32.15/root
no_final_chunk v0.32/chat_no_final v0.9/chat_done_false_body v0.32.15/invalid_utf8_generate_nostream
no_final_chunk v0.32.15/invalid_utf8_generate_stream v0.32.15/num_predict_minus1 v0.32.15/num_predict_zero
no_final_chunk v0.32.15/repeat_abort_generate_nostream v0.32.15/repeat_abort_generate_stream
no_final_chunk v0.32.15/runner_kill9_chat_next v0.9.6/chat_nostream v0.9.6/chat_stream
no_final_chunk v0.9.6/context_shift_beyond_num_ctx v0.9.6/generate_stream_length
no_final_chunk v0.9.6/generate_stream_repeat v0.9.6/num_predict_zero
connection_lost v0.32/chat_server_ended v0.32.15/server_kill9_chat v0.32.15/server_term_chat
"""),
    "v0.32/load": (None, "load", None, None),
    "v0.32/unload": (None, "unload", None, None),
    "v0.32.15/load_chat": (None, "load", None, None),
    "v0.32.15/load_generate": (None, "load", None, None),
    "v0.32.15/unload": (None, "unload", None, None),
    "v0.32.15/unload_request_while_busy": (None, "unload", None, None),
    "v0.9.6/load_generate": (None, "load", None, None),
    "v0.9.6/unload": (None, "unload", None, None),
}

OTHERS: dict[str, tuple[str, object]] = {
    "v0.32/version": ("version", "0.32.15"),
    "v0.9/version": ("version", "0.9.6"),
    "v0.32.15/version": ("version", "0.32.15"),
    "v0.9.6/version": ("version", "0.9.6"),
    "v0.32/tags": ("tags", [("small:1b", "llama", "Q4_K_M", ("completion", "tools"))]),
    "v0.32/tags_empty": ("tags", []),
    "v0.9/tags": ("tags", [("small:1b", "llama", "Q4_K_M", None)]),
    "v0.32.15/tags": ("tags", [
        (f"tiny-{size}:{tag}", "llama", tag.upper(), ("completion",)) for size in "ms" for tag in ("q4_K_M", "f16", "q8_0")
    ]),
    "v0.9.6/tags": ("tags", [
        (f"tiny-m:{tag}", "llama", tag.upper(), None) for tag in ("q4_K_M", "q8_0", "f16")
    ]),
    "v0.32/ps": ("ps", [("small:1b", 1500000000, 1500000000, 4096)]),
    "v0.9/ps": ("ps", [("small:1b", 1500000000, 0, None)]),
    "v0.32.15/ps_loaded": ("ps", [("tiny-m:q8_0", 51275365, 0, 1024), ("tiny-s:f16", 13925088, 0, 512)]),
    "v0.32.15/ps_unload_pending": ("ps", [("tiny-m:q8_0", 51275365, 0, 1024)]),
    "v0.32.15/ps_after_unload": ("ps", [("tiny-s:f16", 13925088, 0, 512)]),
    "v0.9.6/ps_loaded": ("ps", [("tiny-m:q8_0", 98910208, 0, None)]),
    "v0.9.6/ps_after_unload": ("ps", [("tiny-m:q8_0", 98910208, 0, None)]),
    "v0.32/show": ("show", (1235814432, "Q4_K_M", 131072, "small:1b-fp16", "Small", "1B")),
    "v0.32.15/show": ("show", (22551040, "Q4_K_M", 2048, None, None, None)),
    "v0.9.6/show": ("show", (22551040, "Q8_0", 2048, None, None, None)),
    "v0.32/show_missing": ("missing", "collector pull nope:1b"),
    "v0.32.15/error_model_missing_show": ("missing", "collector pull nope:1b"),
    "v0.32/pull": ("pull", "success"),
    "v0.32/pull_missing": ("pull_fault", "file does not exist"),
    "v0.32.15/error_pull_missing": ("pull_fault", "no such host"),
    "v0.32.15/status": ("foreign", None),
}  # fmt: skip
