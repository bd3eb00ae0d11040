"""`client_deadline()`: what clients and proxies say of their own patience (contract §10)."""

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_disconnect.deadlines import client_deadline

NAMES = [b"grpc-timeout", b"connect-timeout-ms", b"x-envoy-expected-rq-timeout-ms"]

# The forms that the specifications give, written down anew.
VALID = {
    b"grpc-timeout": rb"0*[1-9][0-9]*[HMSmun]",
    b"connect-timeout-ms": rb"0*[1-9][0-9]*",
    b"x-envoy-expected-rq-timeout-ms": rb"0*[1-9][0-9]*",
}
LONGEST = {b"grpc-timeout": 9, b"connect-timeout-ms": 10, b"x-envoy-expected-rq-timeout-ms": 20}


def is_valid(name: bytes, value: bytes) -> bool:
    value = value.strip(b" \t")
    return len(value) <= LONGEST[name] and re.fullmatch(VALID[name], value) is not None


def seconds(*headers: tuple[Any, Any], at_most: float = math.inf) -> float:
    return client_deadline(at_most)({"type": "http", "headers": list(headers)})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("grpc-timeout", "1H", 3600),
        ("grpc-timeout", "2M", 120),
        ("grpc-timeout", "3S", 3),
        ("grpc-timeout", "1500m", 1.5),
        ("grpc-timeout", "250000u", 0.25),
        ("grpc-timeout", "99999999n", 0.099999999),
        ("grpc-timeout", "00000005S", 5),
        ("connect-timeout-ms", "1", 0.001),
        ("connect-timeout-ms", "2500", 2.5),
        ("connect-timeout-ms", "9999999999", 9999999.999),
        ("x-envoy-expected-rq-timeout-ms", "15000", 15),
        ("x-envoy-expected-rq-timeout-ms", str(2**64 - 1), (2**64 - 1) / 1000),
    ],
)
def test_each_header_is_read_in_its_unit(name: str, value: str, expected: float) -> None:
    assert seconds((name.encode(), value.encode())) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc-timeout", ""),
        ("grpc-timeout", "S"),
        ("grpc-timeout", "5"),
        ("grpc-timeout", "5s"),
        ("grpc-timeout", "5 S"),
        ("grpc-timeout", "5SS"),
        ("grpc-timeout", "-5S"),
        ("grpc-timeout", "+5S"),
        ("grpc-timeout", "0.5S"),
        ("grpc-timeout", "5_0S"),
        ("grpc-timeout", "123456789S"),
        ("grpc-timeout", "5S\n"),
        ("grpc-timeout", "5S, 3S"),
        ("grpc-timeout", "\u0665S"),
        ("grpc-timeout", "0S"),
        ("connect-timeout-ms", "5S"),
        ("connect-timeout-ms", "12345678901"),
        ("connect-timeout-ms", "1e3"),
        ("connect-timeout-ms", "-1"),
        ("connect-timeout-ms", "\u0665"),
        ("connect-timeout-ms", "0"),
        ("x-envoy-expected-rq-timeout-ms", "infinity"),
        ("x-envoy-expected-rq-timeout-ms", "1.5"),
        ("x-envoy-expected-rq-timeout-ms", "9" * 5000),
        ("x-envoy-expected-rq-timeout-ms", "0"),  # with which Envoy means none
        ("x-request-timeout", "5"),
    ],
)
def test_what_no_specification_knows_is_skipped(name: str, value: str) -> None:
    nonsense = name.encode(), value.encode()
    assert seconds(nonsense, at_most=60) == 60
    assert seconds(nonsense, (b"grpc-timeout", b"2S"), nonsense) == 2


def test_the_smallest_counts_whatever_says_it() -> None:
    headers = [
        (b"grpc-timeout", b"5S"),
        (b"connect-timeout-ms", b"4000"),
        (b"x-envoy-expected-rq-timeout-ms", b"3000"),
        (b"grpc-timeout", b"2500m"),
    ]
    assert seconds(*headers) == seconds(*reversed(headers)) == 2.5


def test_it_is_never_more_than_at_most() -> None:
    assert client_deadline()({}) == 60
    assert seconds(at_most=30) == 30
    assert seconds((b"grpc-timeout", b"1H"), at_most=30) == 30
    assert seconds((b"grpc-timeout", b"1S"), at_most=30) == 1
    assert seconds(at_most=math.inf) == math.inf


@pytest.mark.parametrize("name", [b"grpc-timeout", b"Grpc-Timeout", b"GRPC-TIMEOUT"])
@pytest.mark.parametrize("value", [b"2S", b" 2S", b"2S\t ", b"\t 2S"])
def test_case_and_white_space_do_not_matter(name: bytes, value: bytes) -> None:
    assert seconds((name, value)) == 2


def test_headers_may_be_any_iterable_of_pairs() -> None:
    def once() -> Iterator[Any]:
        yield iter((b"accept", b"*/*"))
        yield [b"grpc-timeout", b"2S"]

    read = client_deadline()
    assert read({"headers": once()}) == 2
    assert read({"headers": ((b"grpc-timeout", b"2S"),)}) == 2


@pytest.mark.parametrize(
    "headers", [None, (), [None], [(b"grpc-timeout",)], [("grpc-timeout", "2S")]]
)
def test_headers_that_are_none_say_nothing(headers: Any) -> None:
    assert client_deadline(30)({"headers": headers}) == 30


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([*NAMES, b"accept"]),
            st.binary(max_size=12)
            | st.from_regex(rb"[ \t]?[0-9]{0,11}[HMSmunhs]?[ \t]?", fullmatch=True)
            | st.from_regex(rb"[0-9]{18,22}", fullmatch=True),
        )
    ),
    at_most=st.floats(0, 1e6),
)
def test_whatever_stands_there_it_is_a_number_from_0_to_at_most(
    headers: list[tuple[bytes, bytes]], at_most: float
) -> None:
    found = seconds(*headers, at_most=at_most)
    assert 0 <= found <= at_most
    if not any(is_valid(name, value) for name, value in headers if name in NAMES):
        assert found == at_most


@given(name=st.sampled_from(NAMES), value=st.binary(max_size=25))
def test_only_the_form_of_the_specification_counts(name: bytes, value: bytes) -> None:
    assert (seconds((name, value)) < math.inf) is is_valid(name, value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        ("60", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_at_most_is_a_number_that_is_not_negative(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^at_most must be a number of seconds, 0 or more"):
        client_deadline(value)


@pytest.mark.parametrize("value", [0, 3, 0.5, math.inf, Fraction(1, 2)])
def test_any_real_number_from_0_to_infinity_is_at_most(value: Any) -> None:
    assert client_deadline(value)({}) == value
