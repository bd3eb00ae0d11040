"""The reader's states (contract §2), walked exhaustively."""

import pytest

from asgi_disconnect.reader import APP_READS, TABLE, Event, Reader

INSIDE = {*APP_READS, Reader.WATCHER, Reader.WATCHER_ENDS}


def test_every_state_can_be_reached() -> None:
    reached = {Reader.IDLE}
    for _ in Reader:
        reached |= {after for state in reached for after in TABLE[state].values()}
    assert reached == set(Reader) == set(TABLE)


def test_nobody_asks_the_server_while_a_call_is_under_way() -> None:
    for state, events in TABLE.items():
        if state in INSIDE or state is Reader.GONE or state is Reader.FAILED:
            assert Event.ASKED not in events
        else:
            assert events[Event.ASKED] in APP_READS


def test_the_watcher_never_takes_a_call_from_the_app() -> None:
    """From an app that reads to a watcher that reads there is but one way: the app's call ended."""
    for state in APP_READS:
        assert Reader.WATCHER not in TABLE[state].values()
        for event, after in TABLE[state].items():
            assert after is not Reader.BETWEEN or event is Event.DONE


def test_only_time_makes_a_watcher() -> None:
    for state in (Reader.IDLE, Reader.APP):
        for event, after in TABLE[state].items():
            if after in (Reader.WATCHER, Reader.APP_THEN_WATCHER, Reader.HELD):
                assert event in (Event.DUE, Event.DUE_LATER)


def test_a_held_request_is_read_by_the_app_first() -> None:
    assert TABLE[Reader.IDLE][Event.DUE_LATER] is Reader.HELD
    assert TABLE[Reader.HELD][Event.ASKED] is Reader.APP_THEN_WATCHER
    assert TABLE[Reader.APP_THEN_WATCHER][Event.DONE] is Reader.BETWEEN
    assert TABLE[Reader.BETWEEN][Event.DUE] is Reader.WATCHER


def test_an_app_that_asks_again_at_once_reads_on() -> None:
    assert TABLE[Reader.BETWEEN][Event.ASKED] is Reader.APP_THEN_WATCHER


@pytest.mark.parametrize("state", Reader)
def test_a_disconnect_can_come_at_any_time_and_is_final(state: Reader) -> None:
    assert TABLE[state][Event.DISCONNECT] is Reader.GONE
    assert set(TABLE[Reader.GONE].values()) == {Reader.GONE}


@pytest.mark.parametrize("state", set(Reader) - {Reader.WATCHER_ENDS})
def test_after_the_exchange_no_watcher_begins(state: Reader) -> None:
    reached = {TABLE[state][Event.CLOSE]}
    for _ in Reader:
        reached |= {
            after
            for state in reached
            for event, after in TABLE[state].items()
            if event not in (Event.DUE, Event.DUE_LATER)  # the timer is cancelled first
        }
    assert not reached & {
        Reader.WATCHER,
        Reader.APP_THEN_WATCHER,
        Reader.HELD,
        Reader.FAILED,
        Reader.BETWEEN,
    }
