"""The reader's states (contract §2), walked exhaustively."""

import pytest

from asgi_disconnect._exchange.reader import APP_READS, TABLE, WATCHER_READS, Event, Reader

INSIDE = APP_READS | WATCHER_READS | {Reader.APP_INTERRUPTED}


def test_every_state_can_be_reached() -> None:
    reached = {Reader.IDLE}
    for _ in Reader:
        reached |= {after for state in reached for after in TABLE[state].values()}
    assert reached == set(Reader) == set(TABLE)


def test_nobody_asks_the_server_while_a_call_is_under_way() -> None:
    for state, events in TABLE.items():
        if state in INSIDE or state in (Reader.PAUSED, Reader.GONE, Reader.FAILED):
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


def test_a_watcher_that_pauses_is_the_only_one_to_read_on() -> None:
    """What the app has not read is there then, or the watcher has been told that there is room."""
    for state, events in TABLE.items():
        for event, after in events.items():
            assert after is not Reader.PAUSED or state in (Reader.WATCHER, Reader.PAUSED)
            assert state is not Reader.PAUSED or after is not Reader.WATCHER or event is Event.ROOM
    for state in WATCHER_READS:  # what there may be while it tries the disk
        assert TABLE[TABLE[state][Event.FULL]][Event.ROOM] is state


@pytest.mark.parametrize("state", Reader)
def test_a_disconnect_can_come_at_any_time_and_is_final(state: Reader) -> None:
    """Who is in the server's `receive` then, and about to come out, is waited for."""
    after = Reader.WATCHER_LATE if state in WATCHER_READS else Reader.GONE
    if state is Reader.APP_INTERRUPTED:
        after = state
    assert TABLE[state][Event.DISCONNECT] is after
    assert set(TABLE[Reader.GONE].values()) == {Reader.GONE}
    for late in (Reader.WATCHER_LATE, Reader.APP_INTERRUPTED):
        for event, later in TABLE[late].items():
            assert later is (Reader.GONE if event is Event.DONE else late)


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
