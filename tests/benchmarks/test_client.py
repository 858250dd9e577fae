"""The client benchmark reads its server right and computes the error that it says."""

from __future__ import annotations

import pytest

from benchmarks.client import READERS, TOKENS, Read, errors_ms, scripted_server


def test_the_error_is_the_difference_of_the_two_times_to_first_token() -> None:
    # the server read the request 1 ms after it was asked and sent at 10 and 20 ms; both came 0.5 and 2 ms later
    read = Read(0, [10_500_000, 22_000_000], [10_000_000, 20_000_000], 1_000_000)
    figures = errors_ms([read])
    assert figures["ttft_error_p50_ms"] == figures["ttft_error_max_ms"] == pytest.approx(1.5)
    assert figures["stamp_error_p99_ms"] == pytest.approx(0.5)
    assert figures["token_stamp_error_p99_ms"] == pytest.approx(2.0)


def test_every_reader_sees_all_tokens_in_the_servers_order_and_after_they_were_sent() -> None:
    with scripted_server() as url:
        for reader in READERS.values():
            read = reader(url)
            assert len(read.receipts_ns) == len(read.stamps_ns) == TOKENS
            assert read.stamps_ns == sorted(read.stamps_ns)
            assert all(seen > sent for seen, sent in zip(read.receipts_ns, read.stamps_ns, strict=True))
            assert read.asked_ns < read.server_read_ns < read.stamps_ns[0]
