"""The promises of the contract, section by section, on a server that a test plays itself.

guarded/     §1, what is guarded
    which exchanges, any app, what happens to the scope
receive/     §2, buffer and replay
    every message in order and the disconnect for ever; nothing is read unasked; any schedule
    against a model (`test_replay`); the disk has no room, so reading ahead pauses; temporary files
    are gone; a body too large, too slow, whole or lost, and how a request is refused
send/        §3, where the response stands
    complete; dropped sends; turns for the loop; an error of the server's `send`
departure/   §4, on a premature disconnect
    told first; cancelled; cleanup finishes; shields; nothing is lost; no polling; another's
    cancellation passes, and cuts short what of ours runs; returns normally; ties; eager tasks
other_ends/  §5, on every other end
    exceptions; the caller's task; no cancellation point; nothing is left; torn down; what outlives
    its exchange
handler/     §6, what a handler can use
    where the `Disconnect` is; is it set; callbacks; `ignore`; `critical`
operator/    §7, what an operator can use
    the report; the hooks
websockets/  §9, WebSockets
    which are guarded; a departure; unread messages
deadlines/   §10, deadlines
    what happens when one passes; which there is; what a handler hears; what else may come first;
    ties; what clients say of themselves
parts/       the modules that keep these promises, alone: states, body, disk, clock, guards, options

`scripted` is the server; the back ends are in `tests/backends.py`.
"""
