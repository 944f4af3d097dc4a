"""A polite HTTP client: says who it is, waits its turn, and waits when it is told to.

Only URLs that the user gave are opened: http and https alone, and a redirection to another host
is refused.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import json
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any

from dafnet_plugin import __version__
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import atomic_path

logger = logging.getLogger(__name__)

USER_AGENT = f"dafnet-plugin/{__version__} (building of a DAFSet; python-urllib)"
BUSY = (429, 500, 502, 503, 504)
MAX_BYTES = 256 << 20


class ServiceError(DataError):
    """A service cannot be reached, or does not give what was asked for."""


@dataclass
class Client:
    """Asks services, one request at a time.

    Attributes:
        user_agent: who asks; Wikimedia wants a way to reach you in it.
        interval: seconds between the starts of two requests, at least.
        timeout: seconds without an answer after which a request is given up.
        attempts: how often a request is made before it is an error.
        max_wait: seconds; a service that asks for a longer pause (``Retry-After``) is an error
            that says so, since what was read so far is kept.
        cache: a folder that keeps every answer; what is in it is not asked for again, so an
            interrupted build goes on from there, and a finished one can be repeated.
        clock, sleep: time in seconds, and how it is passed.
    """

    user_agent: str = USER_AGENT
    interval: float = 1.0
    timeout: float = 60.0
    attempts: int = 5
    max_wait: float = 120.0
    cache: Path | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("timeout", "attempts", "max_wait"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: {getattr(self, name)}; allowed: above 0")
        if self.interval < 0:
            raise ConfigError(f"interval: {self.interval}; allowed: at least 0")
        # A line break in a header would end it, and begin another.
        if not self.user_agent.strip() or not self.user_agent.isprintable():
            raise ConfigError(f"user_agent: {self.user_agent!r}; allowed: a line of text")

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of a GET.

        Raises:
            ConfigError: this is no http or https URL.
            ServiceError: no answer, or an error; says after how many attempts.
        """
        return self._request(url, None, headers or {})

    def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a POST of a form, for queries that are too long for a URL.

        Raises:
            ConfigError, ServiceError: as :meth:`get`.
        """
        return self._request(url, urllib.parse.urlencode(form).encode(), headers or {})

    def _request(self, url: str, data: bytes | None, headers: Mapping[str, str]) -> bytes:
        check_url(url)
        kept = self._kept(url, data)
        if kept is not None and kept.is_file():
            return kept.read_bytes()
        body = self._ask(url, data, headers)
        if kept is not None:
            with atomic_path(kept) as path:
                path.write_bytes(body)
        return body

    def _kept(self, url: str, data: bytes | None) -> Path | None:
        if self.cache is None:
            return None
        key = hashlib.sha256(url.encode() + b"\0" + (data or b"")).hexdigest()
        return Path(self.cache) / f"{key}.reply"

    def _ask(self, url: str, data: bytes | None, headers: Mapping[str, str]) -> bytes:
        problem = ""
        for attempt in range(1, self.attempts + 1):
            self._await_turn()
            pause: float | None = None
            try:
                body, told = self._once(url, data, headers)
                if not _lagging(body):
                    return body
                problem, pause = "the service lags behind (maxlag)", told
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code} {error.reason}"
                pause = retry_after(error.headers, time.time())
                error.close()
                if error.code not in BUSY:
                    raise ServiceError(f"{_short(url)}: {problem}") from error
            except (OSError, http.client.HTTPException) as error:
                problem = _reason(error, self.timeout)
            if attempt < self.attempts:
                self._pause(url, problem, pause, attempt)
        raise ServiceError(f"{_short(url)}: {problem}, after {self.attempts} attempts")

    def _pause(self, url: str, problem: str, told: float | None, attempt: int) -> None:
        pause = 2.0 ** (attempt - 1) if told is None else told
        if pause > self.max_wait:
            raise ServiceError(
                f"{_short(url)}: {problem}, and the service asks to wait {pause:.0f} seconds "
                f"(allowed: max_wait, {self.max_wait:.0f}); go on later"
            )
        logger.warning("%s: %s; waiting %.0f seconds", _short(url), problem, pause)
        self.sleep(pause)

    def _await_turn(self) -> None:
        wait = self._next - self.clock()
        if wait > 0:
            self.sleep(wait)
        self._next = self.clock() + self.interval

    def _once(
        self, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[bytes, float | None]:
        request = urllib.request.Request(url, data, {"User-Agent": self.user_agent, **headers})
        opener = urllib.request.build_opener(_SameHost)
        with opener.open(request, timeout=self.timeout) as reply:
            body: bytes = reply.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                raise ServiceError(f"{_short(url)}: the answer is longer than {MAX_BYTES} bytes")
            length = reply.headers.get("Content-Length")
            if length and length.isdigit() and len(body) < int(length):
                raise http.client.IncompleteRead(body, int(length) - len(body))
            return body, retry_after(reply.headers, time.time())


class _SameHost(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.hostname != old.hostname or (old.scheme, new.scheme) == ("https", "http"):
            raise ServiceError(
                f"{_short(req.full_url)}: redirects to {_short(newurl)}; only URLs that you "
                "configured are opened"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> str:
    """Return the URL.

    Raises:
        ConfigError: it is not http or https, or has no host.
    """
    parts = urllib.parse.urlsplit(url) if isinstance(url, str) else None
    if not parts or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"URL {url!r}; allowed: http://HOST/... or https://HOST/...")
    if not url.isprintable() or " " in url:
        raise ConfigError(f"URL {url!r}: has spaces or control characters; allowed: percent signs")
    return url


def retry_after(headers: Message | Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from a ``Retry-After`` header with seconds or with a time."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError):
        return None


def _lagging(body: bytes) -> bool:
    """Whether the answer is Wikidata's plea to come back when its servers have caught up."""
    if b'"maxlag"' not in body[:400]:
        return False
    try:
        return bool(json.loads(body)["error"]["code"] == "maxlag")
    except (ValueError, KeyError, TypeError):
        return False


def _reason(error: OSError | http.client.HTTPException, timeout: float) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout:g} seconds"
    if isinstance(error, http.client.HTTPException):
        return f"the answer broke off ({type(error).__name__})"
    return f"cannot be reached: {getattr(cause, 'strerror', None) or cause}"


def _short(url: str) -> str:
    return url if len(url) <= 120 else f"{url[:117]}..."
