"""A request that shows nothing is refused, with what came back and how to ask better."""

import pytest

from asgi_disconnect._check.request import CannotAsk, Request, Stay, require_work

WORKS = Stay(200, 1.0, 1.1)
STREAMS = Stay(200, 0.0, None)


def answer(head: str, body: str = "") -> bytes:
    return f"HTTP/1.1 {head}\r\n\r\n{body}".encode()


def refusal(request: Request, stay: Stay) -> str:
    with pytest.raises(CannotAsk) as caught:
        require_work(request, stay)
    return str(caught.value)


@pytest.mark.parametrize("stay", [WORKS, STREAMS, Stay(None, None, None)])
def test_work_that_can_be_abandoned_is_accepted(stay: Stay) -> None:
    require_work(Request("GET", "/"), stay)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("data", [b"", b"x"])
def test_a_quick_answer_is_refused_whatever_the_method(method: str, data: bytes) -> None:
    said = refusal(Request(method, "/", data=data), Stay(200, 0.01, 0.02))
    assert said.startswith(f"{method} / answers 200 within 20 ms: there is nothing to abandon.")


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("started", [0.01, 3.0])
def test_a_refusal_is_refused_however_long_it_takes(status: int, started: float) -> None:
    assert f"answers {status}" in refusal(Request("POST", "/"), Stay(status, started, started))


@pytest.mark.parametrize(
    ("request_", "status", "head", "body", "said"),
    [
        (Request("GET", "/a"), 404, "404", "", "Is the path right?"),
        (Request("GET", "/a"), 405, "405\r\nAllow: PUT", "", "--method; it allows PUT."),
        (Request("POST", "/", data=b"{}"), 422, "422", "", "'Content-Type: application/json'"),
        (Request("POST", "/", data=b"{}"), 415, "415", "", "'Content-Type: application/json'"),
        (Request("GET", "/"), 400, "400", "", "Is the path right, with its query?"),
        (Request("GET", "/"), 400, "400", "Invalid host header", "'Host: example.org'"),
        (Request("GET", "/"), 401, "401", "", "'Authorization: ...'"),
        (Request("GET", "/"), 406, "406", "", "text/event-stream"),
        (Request("GET", "/"), 429, "429", "", "the app's own limit"),
        (Request("GET", "/a"), 307, "307\r\nlocation: /a/", "", "redirects to /a/: --path /a/"),
        (
            Request("GET", "/"),
            307,
            "307\r\nLocation: https://127.0.0.1/",
            "",
            "'X-Forwarded-Proto: https'",
        ),
        (Request("GET", "/"), 500, "500", "it\r\nfails", "It says: it fails"),
        (
            Request("GET", "/"),
            500,
            "500\r\ntransfer-encoding: chunked",
            "3\r\nit \r\n5\r\nfails\r\n0\r\n\r\n",
            "It says: it fails",
        ),
        (Request("GET", "/"), 799, "799", "", "GET / answers 799"),
    ],
)
def test_it_says_how_to_ask_better(
    request_: Request, status: int, head: str, body: str, said: str
) -> None:
    stay = Stay(status, 0.0, 0.0, answer(head, body))
    told = refusal(request_, stay)
    assert said in told
    assert ("X-Forwarded" in told) == ("X-Forwarded" in said)  # only where it matters


def test_a_type_that_is_given_is_not_asked_for() -> None:
    request = Request("POST", "/", ("content-type: application/json",), b"{}")
    assert "Content-Type" not in refusal(request, Stay(422, 0.0, 0.0))


def test_a_request_is_what_a_client_sends() -> None:
    head = Request("POST", "/a?b=<c>&d=%20", ("x: y",), b"abc").head("r1 bare", 8000).decode()
    first, *lines = head.rstrip().splitlines()
    assert first == "POST /a?b=%3Cc%3E&d=%20 HTTP/1.1"
    assert {"x: y", "host: 127.0.0.1:8000", "content-length: 3"} < {*lines}
    assert Request("GET", "/", ("Host: a.b",)).head("r1 bare", 8000).lower().count(b"host:") == 1
