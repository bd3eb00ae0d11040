"""What `test_cleanup_in_stacks.py` has the servers run: every stack, guarded, in one process.

A request to ``/<stack>/<key>`` is one to that stack.  What its code does is told to the test as in
`app`, whose handlers are served too; before each request to them garbage is collected.
"""

import functools
import gc
import sys
from pathlib import Path

import app
from app import journal

from asgi_disconnect import DisconnectMiddleware

sys.path.insert(0, str(Path(__file__).parents[3]))  # what the tests in process use as well

from tests.frameworks.stacks import DJANGO_STACKS, STACKS
from tests.frameworks.stacks.work import ReportsErrors, note_of_request

stacks = {stack.name: stack for stack in (*STACKS, *DJANGO_STACKS) if not stack.missing}


@functools.cache
def guarded(name):
    return DisconnectMiddleware(
        ReportsErrors(stacks[name].build()),
        on_disconnect=lambda report: note_of_request.get()(f"outcome: {report.outcome}"),
    )


async def application(scope, receive, send):
    """What the server calls: tells how the middleware ends."""
    _, name, *rest = scope.get("path", "/").split("/")
    if name not in stacks:
        gc.collect()
        return await app.application(scope, receive, send)
    (key,) = rest
    stack = stacks[name]
    tell = functools.partial(journal().tell, key)
    note_of_request.set(tell)
    tell("called")
    scope = {**scope, "path": stack.path, "raw_path": stack.path.encode()}
    try:
        await guarded(name)(scope, receive, send)
    except BaseException as error:
        tell(f"raised {type(error).__name__}")
        raise
    tell("returned")
