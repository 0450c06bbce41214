"""The download against a real server on this machine: slow, broken, lying and interrupted hosts."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until

from senet_edu.data import DataNotFoundError
from senet_edu.data.download import Patience, _size, download

CONTENT = random.Random(0).randbytes(1_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
QUICK = Patience(connect=0.5, window=0.3, slow=200_000, stall=0.5, max_bytes=2_000_000)


@dataclass
class Host:
    """What the server does for one address. Rates in bytes a second; 0 is as fast as it can."""

    content: bytes = CONTENT
    rate: float = 0
    ranges: bool = True
    status: int = 200
    kind: str = "application/x-gzip"
    stop_after: int | None = None  # close the connection after as many bytes
    length: str = ""  # a Content-Length that is not the true one
    hang: bool = False  # never answer
    trickle: bool = False  # send a header that never ends, a byte at a time
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hosts: dict[str, Host] = {}

    def add(self, **settings: Any) -> tuple[str, Host]:
        """A new address and its host."""
        host, name = Host(**settings), f"/{len(self.hosts)}/file.tar.gz"
        self.hosts[name] = host
        return f"http://127.0.0.1:{self.server_port}{name}", host

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are the point of these tests


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        host = self.server.hosts[self.path]
        host.asked.append(self.headers.get("Range"))
        if host.hang:
            time.sleep(3)
            return
        if host.trickle:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Patience: ")
            for _ in range(40):
                self.wfile.write(b"x")
                time.sleep(0.1)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and host.ranges else 0
        if start >= len(host.content):
            self.send_error(416)
            return
        if host.status != 200:
            self.send_error(host.status)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(host.content) - 1}/{len(host.content)}")
        self.send_header("Content-Length", host.length or str(len(host.content) - start))
        self.send_header("Content-Type", host.kind)
        self.end_headers()
        self.send(host, host.content[start:][: host.stop_after])

    def send(self, host: Host, content: bytes) -> None:
        step = max(int(host.rate * 0.02), 1) if host.rate else len(content)
        for start in range(0, len(content), step):
            self.wfile.write(content[start : start + step])
            if host.rate:
                time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.tar.gz"


def part_of(target: Path, content: bytes = b"") -> Path:
    part = target.with_name(target.name + ".part")
    if content:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
    return part


def test_a_good_host_delivers(server: Server, target: Path, capsys: pytest.CaptureFixture) -> None:
    url, host = server.add()
    assert download([url], target, MD5, QUICK) == target
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()
    assert "127.0.0.1" in capsys.readouterr().err  # the progress bar names the host
    download([url], target, MD5, QUICK)
    assert len(host.asked) == 1  # what is there and right is not fetched again


def test_a_damaged_earlier_file_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    download([server.add()[0]], target, MD5, QUICK)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("bad", "answer"),
    [
        ({"status": 404}, "404"),
        ({"status": 503}, "503"),
        ({"hang": True}, "timed out"),
        ({"content": b"wrong" * 1000}, "not the expected one"),
        ({"content": CONTENT[:-1] + b"?"}, "not the expected one"),
        ({"content": CONTENT * 3}, "more than 2,000,000 bytes"),
        ({"content": b"<html>log in", "kind": "text/html; charset=utf-8"}, "a web page"),
        ({"stop_after": 5000}, "ended after 5,000 of 1,000,000 bytes"),
        ({"stop_after": 0}, "ended after 0 of"),
        ({"rate": 55_000}, "kB/s"),
        ({"length": "many"}, "Content-Length of 'many'"),
    ],
)
def test_a_bad_host_is_left_for_the_next(server: Server, target: Path, bad: dict, answer: str) -> None:
    """And alone it makes the download fail, with its answer and the ways out in the message."""
    bad_url, _ = server.add(**bad)
    if "rate" not in bad:
        with pytest.raises(DataNotFoundError) as caught:
            download([bad_url], target, MD5, QUICK)
        for words in (bad_url, answer, "file.tar.gz", "give a path", "SENET_EDU_CIFAR10", "go online"):
            assert words in str(caught.value)
        assert not target.exists()
    good_url, good = server.add()
    download([bad_url, good_url], target, MD5, QUICK)
    assert target.read_bytes() == CONTENT
    assert len(good.asked) >= 1


def test_a_header_that_trickles_is_given_up(server: Server, target: Path) -> None:
    """Each byte comes in time, so the socket's own time-out never ends it."""
    bad, _ = server.add(trickle=True)
    good, _ = server.add()
    start = time.monotonic()
    download([bad, good], target, MD5, replace(QUICK, answer=0.8))
    assert time.monotonic() - start < 3
    with pytest.raises(DataNotFoundError, match="no answer in 1 s"):
        download([bad], target.with_name("other"), MD5, replace(QUICK, answer=0.8))


def test_every_answer_is_in_the_message(server: Server, target: Path) -> None:
    urls = [server.add(status=404)[0], server.add(content=b"wrong")[0], "http://127.0.0.1:9/file.tar.gz"]
    with pytest.raises(DataNotFoundError) as caught:
        download(urls, target, MD5, QUICK)
    for words in (*urls, "404", "not the expected one", "no connection"):
        assert words in str(caught.value)


def test_a_trickling_host_is_given_up_with_the_default_patience(server: Server, target: Path) -> None:
    """Slow (about 10 s): the throttled host of CIFAR-10, 55 kB/s, with the thresholds a reader has."""
    trickle, slow = server.add(rate=55_000)
    start = time.monotonic()
    download([trickle, server.add()[0]], target, MD5)
    assert time.monotonic() - start < 20  # the requirement itself, with a wide margin
    assert target.read_bytes() == CONTENT
    assert slow.asked == [None]


def test_when_all_hosts_are_slow_the_fastest_goes_on(
    server: Server, target: Path, capsys: pytest.CaptureFixture
) -> None:
    content = CONTENT[:200_000]
    slower, first = server.add(rate=20_000, content=content)
    faster, second = server.add(rate=150_000, content=content)
    download([slower, faster], target, hashlib.md5(content).hexdigest(), QUICK)
    assert target.read_bytes() == content
    assert len(first.asked) == 1
    assert len(second.asked) == 2
    assert second.asked[1] is not None  # continued, not begun anew
    assert "more minutes" in capsys.readouterr().out


def test_a_host_that_becomes_slow_is_noticed(server: Server, target: Path) -> None:
    """The rate is that of the last window, not the mean since the start."""
    url, host = server.add()
    send = Handler.send

    def quick_then_slow(self: Handler, host: Host, content: bytes) -> None:
        self.wfile.write(content[:980_000])
        host.rate = 20_000
        send(self, host, content[980_000:])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "send", quick_then_slow)
        with pytest.raises(DataNotFoundError, match="kB/s"):
            download([url], target, "0" * 32, QUICK)


@pytest.mark.parametrize("ranges", [True, False])
def test_half_a_download_is_continued(server: Server, target: Path, ranges: bool) -> None:
    part_of(target, CONTENT[:400_000])
    url, host = server.add(ranges=ranges)
    download([url], target, MD5, QUICK)
    assert target.read_bytes() == CONTENT
    assert host.asked == ["bytes=400000-"]


def test_a_broken_connection_keeps_what_has_come(server: Server, target: Path) -> None:
    with pytest.raises(DataNotFoundError):
        download([server.add(stop_after=300_000)[0]], target, MD5, QUICK)
    assert part_of(target).read_bytes() == CONTENT[:300_000]
    url, host = server.add()
    download([url], target, MD5, QUICK)
    assert host.asked == ["bytes=300000-"]


@pytest.mark.parametrize("length", [5, 999_999, 1_000_000, 1_500_000])
def test_a_part_of_something_else_does_no_harm(server: Server, target: Path, length: int) -> None:
    """Continued to a wrong checksum (or refused as too long), deleted, and begun anew on the same host."""
    part_of(target, b"x" * length)
    download([server.add()[0]], target, MD5, QUICK)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_fetched_again(server: Server, target: Path) -> None:
    part_of(target, CONTENT)
    url, host = server.add()
    download([url], target, MD5, QUICK)
    assert target.read_bytes() == CONTENT
    assert host.asked == []


def test_a_login_page_does_not_replace_what_has_come(server: Server, target: Path) -> None:
    part = part_of(target, CONTENT[:700_000])
    with pytest.raises(DataNotFoundError):
        download([server.add(content=b"<html>" * 999_999, kind="text/html", ranges=False)[0]], target, MD5, QUICK)
    assert part.read_bytes() == CONTENT[:700_000]


def test_a_full_disk_is_said_in_words(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    real_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r": FullDisk() if mode in ("wb", "ab") else real_open(self, mode)
    )
    with pytest.raises(DataNotFoundError, match="No space left on device.*Free some space.*SENET_EDU_CACHE") as caught:
        download([server.add()[0]], target, MD5, QUICK)
    assert str(target) in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_said_in_words(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataNotFoundError, match="could not be written"):
        download([server.add()[0]], tmp_path / "file" / "cache" / "x.tar.gz", MD5, QUICK)


def test_two_threads_at_once_fetch_it_once(server: Server, target: Path) -> None:
    """As two processes do: each call has a lock of its own, on the same file."""
    url, host = server.add(rate=2_000_000)
    calm = Patience(slow=0)
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            download([url], target, MD5, calm)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(host.asked) == 1
    assert target.read_bytes() == CONTENT


FETCH = """
import sys
from pathlib import Path
from senet_edu.data.download import Patience, download
download([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], Patience(slow=0))
"""


def test_a_killed_process_leaves_a_part_that_the_next_continues(server: Server, target: Path) -> None:
    """Killed in the middle, while a second process waits for its turn: the second takes over."""
    url, host = server.add(rate=10_000)  # 100 s, so that the second starts while the first still fetches
    command = [sys.executable, "-c", FETCH, url, str(target), MD5]
    first = subprocess.Popen(command)
    wait_until(lambda: _size(part_of(target)) >= 10_000, first)
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert second.stdout
    assert "waiting" in second.stdout.readline()
    host.rate = 0
    first.kill()
    first.wait()
    assert second.wait(timeout=30) == 0
    second.stdout.close()
    assert target.read_bytes() == CONTENT
    assert len(host.asked) == 2
    assert host.asked[1] is not None
