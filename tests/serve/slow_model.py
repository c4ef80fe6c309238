"""An OpenAI-compatible server that says one word after another, slowly, and notices when nobody listens any more."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORD_S = 0.05


class SlowModel:
    """Runs in a thread of this process.

    Args:
        words: that every answer has.
    """

    def __init__(self, words: int = 200) -> None:
        self.words, self.asked, self.left = words, [], 0
        self.fail = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                self._json(200, {"object": "list", "data": [{"id": "slow", "object": "model"}]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(asked)
                if outer.fail:
                    self._json(400, {"error": {"message": "out of order"}})
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                try:
                    for number in range(outer.words):
                        self._piece({"content": f"词{number} "}, None)
                        time.sleep(WORD_S)
                    self._piece({}, "stop")
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    outer.left += 1
                self.close_connection = True

            def _piece(self, delta: dict[str, str], reason: str | None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                chunk = {
                    "id": "1",
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": "slow",
                    "choices": [choice],
                }
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()

            def _json(self, code: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def api_base(self) -> str:
        """Address for --api-base."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
