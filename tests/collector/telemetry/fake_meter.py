"""A wall meter on the loopback: answers what it is told to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[str], tuple[int, str]]


class FakeMeter:
    """Paths asked, and the answer to the next question: status and body by path."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.answer: Answer = lambda _path: (404, "")
        self.delay_s = 0.0
        self.power_w = 100.0
        self._energy_wh, self._since_s = 1000.0, time.monotonic()

    @property
    def shelly(self) -> str:
        return f"shelly:127.0.0.1:{self.port}"

    @property
    def tasmota(self) -> str:
        return f"tasmota:127.0.0.1:{self.port}"

    def reset(self, energy_wh: float = 0.0) -> None:
        """The counter begins anew."""
        self._energy_wh, self._since_s = energy_wh, time.monotonic()

    def live(self, path: str) -> tuple[int, str]:
        """A Shelly plug that counts ``power_w``; its last digit moves, as it does on a real one."""
        if not path.startswith("/rpc/Switch.GetStatus"):
            return 404, ""
        total = self._energy_wh + self.power_w * (time.monotonic() - self._since_s) / 3600
        return 200, f'{{"id":0, "output":true, "apower":{self.power_w + len(self.asked) % 2 / 10:.1f}, "aenergy":{{"total":{total:.6f}}}}}'


@contextmanager
def serving_meter() -> Iterator[FakeMeter]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            meter.asked.append(self.path)
            time.sleep(meter.delay_s)
            status, body = meter.answer(self.path)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", body)
                body = ""
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    meter = FakeMeter(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
