"""The HTTP client, against a server of our own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.dafset.sources.http import Client, ServiceError, check_url, retry_after
from dafnet_plugin.errors import ConfigError


class Server:
    """Answers with what it was given, one after another, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.delay = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                time.sleep(outer.delay)
                status, headers, reply = (
                    outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                )
                self.send_response(status)
                for name, value in {"Content-Length": str(len(reply)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/x"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(slept: list[float]) -> Client:
    return Client(interval=0, attempts=3, timeout=5, sleep=slept.append)


def test_get_and_post_say_who_asks(server: Server, client: Client) -> None:
    server.answers = [(200, {}, b"fine")]
    assert client.get(server.url + "?a=1") == b"fine"
    assert client.post(server.url, {"query": "a b&c"}, {"Accept": "text/x"}) == b"fine"
    (verb, path, headers, _), (post, _, posted, body) = server.seen
    assert (verb, path, post) == ("GET", "/x?a=1", "POST")
    assert headers["User-Agent"].startswith("dafnet-plugin/")
    assert posted["Accept"] == "text/x" and body == b"query=a+b%26c"


@pytest.mark.parametrize("after", ["7", None])
def test_429_is_waited_for(
    server: Server, client: Client, slept: list[float], after: str | None
) -> None:
    headers = {"Retry-After": after} if after else {}
    server.answers = [(429, headers, b""), (503, {}, b""), (200, {}, b"fine")]
    assert client.get(server.url) == b"fine"
    assert slept == [7.0 if after else 1.0, 2.0]


def test_a_pause_that_is_too_long_is_an_error(
    server: Server, client: Client, slept: list[float]
) -> None:
    server.answers = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(ServiceError, match=r"HTTP 429.*asks to wait 3600 seconds.*go on later"):
        client.get(server.url)
    assert not slept and len(server.seen) == 1


def test_attempts_come_to_an_end(server: Server, client: Client) -> None:
    server.answers = [(502, {}, b"")]
    with pytest.raises(ServiceError, match="HTTP 502 Bad Gateway, after 3 attempts"):
        client.get(server.url)
    assert len(server.seen) == 3


def test_other_errors_are_not_repeated(server: Server, client: Client) -> None:
    server.answers = [(404, {}, b"")]
    with pytest.raises(ServiceError, match="HTTP 404 Not Found"):
        client.get(server.url)
    assert len(server.seen) == 1


def test_no_network(client: Client) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServiceError, match="cannot be reached: Connection refused, after 3"):
        client.get(f"http://127.0.0.1:{port}/")
    with pytest.raises(ServiceError, match="cannot be reached"):
        client.get("http://no-such-host.invalid/")


def test_an_endpoint_that_does_not_answer(server: Server, slept: list[float]) -> None:
    server.answers, server.delay = [(200, {}, b"late")], 0.5
    client = Client(interval=0, attempts=2, timeout=0.05, sleep=slept.append)
    with pytest.raises(ServiceError, match=r"no answer within 0.05 seconds, after 2 attempts"):
        client.get(server.url)


def test_an_answer_that_breaks_off_is_asked_for_again(server: Server, client: Client) -> None:
    server.answers = [(200, {"Content-Length": "50"}, b"half"), (200, {}, b"whole")]
    assert client.get(server.url) == b"whole"


def test_maxlag_is_waited_for(server: Server, client: Client, slept: list[float]) -> None:
    lag = json.dumps({"error": {"code": "maxlag", "info": "Waiting"}}).encode()
    server.answers = [(200, {"Retry-After": "5"}, lag), (200, {}, b'{"about": "maxlag"}')]
    assert client.get(server.url) == b'{"about": "maxlag"}'
    assert slept == [5.0]


def test_other_hosts_are_not_asked(server: Server, client: Client) -> None:
    server.answers = [(302, {"Location": "http://169.254.169.254/secret"}, b"")]
    with pytest.raises(ServiceError, match=r"redirects to http://169.254.*; only URLs"):
        client.get(server.url)
    server.answers = [(302, {"Location": "/y"}, b""), (200, {}, b"moved")]
    assert client.get(server.url) == b"moved"


def test_the_rate_is_limited(server: Server) -> None:
    server.answers = [(200, {}, b"")]
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    client = Client(interval=2, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        client.get(server.url)
        now[0] += 0.5
    assert slept == [1.5, 1.5]


def test_answers_are_kept(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, {}, b"one"), (200, {}, b"two"), (503, {}, b"")]
    client = Client(interval=0, cache=tmp_path / "replies", attempts=1)
    assert [client.get(server.url), client.post(server.url, {"q": "1"})] == [b"one", b"two"]
    again = Client(interval=0, cache=tmp_path / "replies", attempts=1)
    assert [again.get(server.url), again.post(server.url, {"q": "1"})] == [b"one", b"two"]
    assert len(server.seen) == 2
    with pytest.raises(ServiceError):
        again.post(server.url, {"q": "2"})
    assert len(list((tmp_path / "replies").iterdir())) == 2, "errors are not kept"


def test_an_answer_that_is_too_long(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dafnet_plugin.dafset.sources.http.MAX_BYTES", 3)
    server.answers = [(200, {}, b"long")]
    with pytest.raises(ServiceError, match="longer than 3 bytes"):
        client.get(server.url)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "host/x", "http:///x", "", "http://h/a b", None]
)
def test_urls_are_checked(url: Any) -> None:
    with pytest.raises(ConfigError, match=r"URL .*allowed"):
        check_url(url)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timeout", 0),
        ("attempts", 0),
        ("interval", -1),
        ("max_wait", 0),
        ("user_agent", "a\r\nX: y"),
    ],
)
def test_settings_are_checked(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{setting}: "):
        Client(**{setting: value})


def test_retry_after() -> None:
    now = 1_700_000_000.0
    assert retry_after({"Retry-After": " 12 "}, now) == 12
    assert retry_after({"Retry-After": formatdate(now + 30, usegmt=True)}, now) == 30
    assert retry_after({"Retry-After": formatdate(now - 30, usegmt=True)}, now) == 0
    assert retry_after({"Retry-After": "soon"}, now) is None
    assert retry_after({}, now) is None
