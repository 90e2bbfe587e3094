"""Lets in whoever belongs to the local AWS, and nobody else of the machine: a function that is uploaded runs as the person who
started the stack.

A request is signed with the keys of the account's root user, which are others at each start, or with those of a function's
session, which ministack checks where AUTH=true. Open are the health check, and the URLs of functions, as on AWS. Paths that are
not AWS's need the root user's secret in a header. A web page is let in nowhere: a browser says from which page it asks, and names
the host by which the page found it.
"""

import hmac
import json
import os
import re
from urllib.parse import parse_qs, quote

from ministack import app as gateway
from ministack.core import sigv4

KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
SESSIONS = os.environ.get("AUTH", "").lower() == "true"
HOST = f"{os.environ['BIND_HOST']}:{os.environ['GATEWAY_PORT']}"
OPEN = re.compile(r"/_ministack/health|/_aws/lambda-url/[^/]+/.*")
UNKNOWN = "InvalidClientTokenId", "The security token included in the request is invalid; next step: take the keys of .local/stack.env"
OWN, SHOWN = "/_rewind/", "x-rewind-key"


def of_a_page(headers: dict) -> bool:
    """True for a request that a web page may have made."""
    return headers.get("host") != HOST or "origin" in headers or headers.get("sec-fetch-site", "none") != "none"


def root_failure(method: str, path: str, query: dict, headers: dict, body: bytes) -> tuple[str, str] | None:
    """The refusal of a request in the root user's name whose signature is not theirs, or is old."""
    signature = sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple):
        return signature
    late = sigv4.request_time_failure(signature)
    return late or sigv4.header_signature_failure(signature, SECRET, method, path, query, headers, body)


def is_root(headers: dict) -> bool:
    """True where a request says that the root user signed it."""
    return f"Credential={KEY}/" in headers.get("authorization", "")


def is_of_a_session(headers: dict) -> bool:
    """True where ministack itself checks the signature."""
    signed = headers.get("authorization", "")
    return SESSIONS and re.match(r"AWS4-HMAC-SHA256 Credential=A(SI|KI|RO)A[A-Z0-9]{12,}/", signed) is not None


def is_known(query: dict, headers: dict) -> bool:
    """True for a request whose signature is checked. ministack takes one without a key, and the key "test", for the root user's."""
    is_signed_once = not {"X-Amz-Algorithm", "X-Amz-Credential", "AWSAccessKeyId"} & set(query)
    return is_signed_once and (is_root(headers) or is_of_a_session(headers))


def refusal(path: str, query: dict, headers: dict) -> tuple[str, str] | None:
    """Why a request is refused whatever its signature is."""
    if of_a_page(headers):
        return "AccessDenied", "The local AWS answers no web page, and under no other name than its address"
    if OPEN.fullmatch(path):
        return None
    if path.startswith(OWN):
        shown = hmac.compare_digest(headers.get(SHOWN, "").encode(), SECRET.encode())
        return None if shown else ("AccessDenied", f"{SHOWN} has to be the secret key of this start")
    return None if is_known(query, headers) else UNKNOWN


async def refuse(send, headers: dict, code: str, message: str) -> None:
    if "x-amz-target" in headers or "json" in headers.get("content-type", ""):
        kind, body = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": message})
    else:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        kind, body = "text/xml", f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>"
    given = [(b"content-type", kind.encode()), (b"x-amzn-errortype", code.encode())]
    await send({"type": "http.response.start", "status": 403, "headers": given})
    await send({"type": "http.response.body", "body": body.encode()})


async def read(receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def with_checked_callers(app):
    """Wraps the gateway: everything comes through here first."""

    async def of_known_callers(scope, receive, send):
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        refused = refusal(scope["path"], query, headers)
        if refused is None and is_root(headers) and not scope["path"].startswith(OWN):
            # The hash of what S3 is given is signed as a header; everything else is signed as it is.
            body = None if "x-amz-content-sha256" in headers else await read(receive)
            path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
            refused = root_failure(scope["method"], path.split("?")[0], query, headers, body or b"")
            if body is not None:
                messages = iter([{"type": "http.request", "body": body, "more_body": False}])
                before = receive

                async def receive():
                    return next(messages, None) or await before()

        if refused is not None:
            return await refuse(send, headers, *refused)
        return await app(scope, receive, send)

    return of_known_callers


def install() -> None:
    """Puts the check of callers before everything else that is put before ministack."""
    gateway.app = with_checked_callers(gateway.app)
