"""A proxy between the functions and AWS's APIs that kills a function at a chosen call: before AWS hears of it, or after
AWS has done it and before the function hears of that. Everything else passes through unchanged.

The proxies run in the controller of the tests, for all workers: `KillingProxies` is there, `Kills` is what a test uses.
"""

import contextlib
import http.client
import http.server
import os
import signal
import socket
import socketserver
import threading
import urllib.parse

from checks import wait_until

# The functions that change something, and the services by which they do.
CHANGING = {
    "StartRestore": ["RDS"],
    "CloneSource": ["RDS"],
    "StartBacktrack": ["RDS"],
    "AddInstances": ["RDS"],
    "FenceSource": ["RDS", "DYNAMODB"],
    "SwapDns": ["ROUTE_53"],
}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


class Kills:
    """The kills of one test. `proxies` are the controller's, here or by a connection."""

    def __init__(self, proxies):
        self.proxies = proxies

    @contextlib.contextmanager
    def at(self, *words, when, times=1):
        """Kills the function that makes a call for which all of `words` are in the request: `times` times, `before` or `after`
        AWS has done it; `never`, until the test sets another `when`."""
        kill = Kill(self.proxies, self.proxies.add(words, when, times))
        try:
            yield kill
        finally:
            self.proxies.end(kill.number)


class Kill:
    """One place where a function is killed."""

    def __init__(self, proxies, number):
        self.proxies, self.number = proxies, number

    @property
    def killed(self):
        """The process ids so far."""
        return self.proxies.killed(self.number)

    def begin(self, when):
        self.proxies.set_when(self.number, when)


class KillingProxies:
    """The proxies, and the functions' configurations by which they go through them."""

    def __init__(self, stack):
        self.stack, self.kills, self.is_installed, self._lock = stack, [], False, threading.Lock()
        self.lambdas = stack.client("lambda")
        self.servers = {}
        for service in ["RDS", "AWS"]:
            upstream = stack.env["AWS_ENDPOINT_URL_RDS" if service == "RDS" else "AWS_ENDPOINT_URL"]
            self.servers[service] = _serve(self, urllib.parse.urlsplit(upstream).netloc)

    def install(self):
        with self._lock:
            if not self.is_installed:
                for stem, services in CHANGING.items():
                    urls = {f"AWS_ENDPOINT_URL_{s}": self._url("RDS" if s == "RDS" else "AWS") for s in services}
                    self._configure(stem, urls)
                self.is_installed = True

    def remove(self):
        """Lets the functions go without_repeated_waits again, also after a run that was killed."""
        with self._lock:
            for stem in CHANGING:
                self._configure(stem, {})
            self.is_installed = False

    def add(self, words, when, times):
        """Adds a kill; answers its number."""
        with self._lock:
            self.kills.append({"words": words, "when": when, "left": times, "killed": []})
            return len(self.kills) - 1

    def set_when(self, number, when):
        with self._lock:
            self.kills[number]["when"] = when

    def killed(self, number):
        return self.kills[number]["killed"]

    def end(self, number):
        with self._lock:
            self.kills[number]["left"] = 0

    def _url(self, service):
        host, port = self.servers[service].server_address
        return f"http://{host}:{port}"

    def _configure(self, stem, through):
        found = self.stack.function(stem)
        name, before = found["FunctionName"], found.get("Environment", {}).get("Variables", {})
        after = {key: value for key, value in before.items() if not key.startswith("AWS_ENDPOINT_URL_")} | through
        if after == before:
            return
        self.lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": after})
        look = lambda: self.lambdas.get_function_configuration(FunctionName=name)
        wait_until(lambda: look().get("LastUpdateStatus") == "Successful", f"the new configuration of {name}")

    def pass_through(self, request, when, connection):
        """Whether the function is still alive."""
        kill = self._kill_for(request, when)
        if kill is None:
            return True
        kill["killed"].append(_kill(connection))
        return False

    def _kill_for(self, request, when):
        with self._lock:
            for kill in self.kills:
                if kill["when"] == when and kill["left"] and all(word in request for word in kill["words"]):
                    kill["left"] -= 1
                    return kill
        return None


def _serve(proxies, upstream):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_call(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            # What is sought is in the path, the target header or the body, whatever the API's protocol.
            seen = " ".join(
                [
                    self.command,
                    self.path,
                    self.headers.get("x-amz-target", ""),
                    urllib.parse.unquote_plus(body.decode()),
                ]
            )
            if not proxies.pass_through(seen, "before", self.connection):
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if not proxies.pass_through(seen, "after", self.connection):
                self.close_connection = True
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # of a function that a test killed
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one_call

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server((upstream.split(":")[0], 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    return server


def _kill(connection):
    """Kills the function at the other end of a connection; answers its process id. The kernel's list is read in pieces, and
    may lack a connection while others come and go: it is read again."""
    ends = connection.getpeername(), connection.getsockname()
    return wait_until(lambda: _kill_at(*ends), f"a function at {ends[0]}", 5)


def _kill_at(peer, own):
    for row in _connections():
        # The port may be that of another connection too: to somebody else, or one that waits to be forgotten and belongs to nobody.
        if (row["local"], row["remote"], row["state"]) == (_as_in_proc(*peer), _as_in_proc(*own), ESTABLISHED):
            with contextlib.suppress(AssertionError):
                return _kill_owner(row["inode"])
    return None


def kill_client_of(address, port):
    """Kills a function that has a session with a database; answers its process id, or None when none has."""
    for row in _connections():
        if row["remote"] == _as_in_proc(address, port) and row["state"] == ESTABLISHED:
            with contextlib.suppress(AssertionError):  # tests have sessions too
                return _kill_owner(row["inode"])
    return None


ESTABLISHED = "01"


def _as_in_proc(address, port):
    """An address as /proc/net/tcp writes it."""
    return "".join(f"{byte:02X}" for byte in reversed(socket.inet_aton(address))) + f":{port:04X}"


def _connections():
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return [{"local": row[1], "remote": row[2], "state": row[3], "inode": row[9]} for row in rows]


def _kill_owner(inode):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if f"socket:[{inode}]" in _open_files(pid):
            program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            if program != "bootstrap":
                raise AssertionError(f"{program} is no function")
            os.kill(int(pid), signal.SIGKILL)
            return int(pid)
    raise AssertionError("a connection without a process")


def _open_files(pid):
    """What a process has open; processes and files may go while one looks."""
    found = set()
    with contextlib.suppress(OSError):
        for file in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{file}"))
    return found
