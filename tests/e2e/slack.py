"""Slack, as the function knows it: it signs what people type and press, and takes the answers. It judges nothing."""

import hashlib
import hmac
import http.client
import itertools
import json
import threading
import time
import urllib.parse

from checks import wait_until

# Whom the local stack's parameters know: Ann may start, Ben may decide, Cleo may do both. Dan is in no list.
ANN, BEN, CLEO, DAN = "UANN", "UBEN", "UCLEO", "UDAN"
NAMES = {ANN: "ann", BEN: "ben", CLEO: "cleo", DAN: "dan"}
TEAM = "TLOCAL"
# Slack shows an error to whoever asked when no answer has come after that.
SLACK_TIMEOUT = 3
# All that somebody is told who is in no list.
NOT_IN_ANY_LIST = "you are not among the people who may use this; nothing was done"

_numbers = itertools.count(time.time_ns())
_write = threading.Lock()


class Slack:
    """The workspace."""

    def __init__(self, stack):
        self.stack = stack
        self.url = urllib.parse.urlsplit(stack.env["CHAT_URL"])
        self.secret = stack.env["CHAT_SIGNING_SECRET"]
        self.prefix = stack.env["CHAT_RESPONSE_PREFIX"]

    # -------------------------------------------------------------------------------------------------------- requests

    def signed(self, body, at=None, secret=None):
        """The headers of a request as Slack sends it."""
        at = str(int(time.time() if at is None else at))
        mac = hmac.new((secret or self.secret).encode(), f"v0:{at}:".encode() + body, hashlib.sha256)
        return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={mac.hexdigest()}"}

    def send(self, body, headers, method="POST"):
        """Sends a request to the function's URL; answers status, body, and the seconds that it took."""
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)
        began = time.monotonic()
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request(method, self.url.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        seconds = time.monotonic() - began
        connection.close()
        return response.status, answer, seconds

    def address(self):
        """An address of its own for the answers to one request."""
        return f"{self.prefix}commands/{next(_numbers)}"

    def line(self, person, text, to=None, team=TEAM):
        """The form of a typed line."""
        return urllib.parse.urlencode({
            "token": "x", "team_id": team, "team_domain": "local", "channel_id": "C1", "user_id": person,
            "user_name": NAMES[person], "command": "/rewind", "text": text, "response_url": to or self.address(),
            "trigger_id": f"1.{next(_numbers)}",
        }).encode()  # fmt: skip

    def pressed(self, person, button, to, team=TEAM):
        """The form of a pressed button, as Slack makes it of the button in the message."""
        action = {name: button[name] for name in ("action_id", "type", "text", "value", "style")}
        payload = {
            "type": "block_actions", "user": {"id": person, "username": NAMES[person]}, "team": {"id": team},
            "response_url": to, "trigger_id": f"1.{next(_numbers)}", "actions": [action],
        }  # fmt: skip
        return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()

    # ---------------------------------------------------------------------------------------------------------- people

    def says(self, person, text, team=TEAM):
        """Somebody types `/rewind …`: answers what comes at once, and where the rest will come."""
        to = self.address()
        body = self.line(person, text, to, team)
        status, answer, seconds = self.send(body, self.signed(body))
        assert status == 200, f"the status of {text}"
        assert seconds < SLACK_TIMEOUT, f"{text} was answered after {seconds:.1f} s"
        said = json.loads(answer)
        with _write, (self.stack.folder / "logs" / "chat-at-once.log").open("a") as log:
            log.write(json.dumps({"to": person, "message": said}) + "\n")
        return Said(self, said, to)

    def presses(self, person, button, team=TEAM):
        """Somebody presses a button: answers what comes later, for nothing is shown at once."""
        to = self.address()
        body = self.pressed(person, button, to, team)
        status, answer, seconds = self.send(body, self.signed(body))
        assert (status, answer) == (200, b""), "the answer to a pressed button"
        assert seconds < SLACK_TIMEOUT, f"a button was answered after {seconds:.1f} s"
        return Said(self, None, to).later()

    def received(self, path):
        """All messages that came to an address so far."""
        lines = (self.stack.folder / "logs" / "chat.log").read_text().splitlines()
        return [said["message"] for said in map(json.loads, lines) if said["to"] == path]

    def channel(self, *said, timeout=60):
        """The message in the channel that holds all of that."""
        find = lambda: [m for m in self.received("/channel") if all(part in words(m) for part in said)]
        return wait_until(find, f"a message in the channel with {said}", timeout)[-1]


class Said:
    """An answer, and where more of it comes."""

    def __init__(self, slack, message, to):
        self.slack, self.message, self.to = slack, message, to

    text = property(lambda self: words(self.message))
    private = property(lambda self: self.message["response_type"] == "ephemeral")

    def button(self, label):
        return button(self.message, label)

    def later(self, timeout=60):
        """What comes after the first answer."""
        path = "/" + self.to.removeprefix(self.slack.prefix)
        (message,) = wait_until(lambda: self.slack.received(path), "a later answer", timeout)
        return Said(self.slack, message, self.to)


def words(message):
    """All that is shown of a message, buttons aside."""
    texts = [block["text"]["text"] for block in message.get("blocks", []) if "text" in block]
    plain = "\n".join(texts) or message["text"]
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def buttons(message):
    return [b for block in message.get("blocks", []) if block["type"] == "actions" for b in block["elements"]]


def button(message, label):
    found = [b for b in buttons(message) if b["text"]["text"] == label]
    if len(found) != 1:
        raise AssertionError(f"there is no one button {label!r} under {words(message)!r}")
    return found[0]
