"""Ctrl-C, as it reaches a command that runs in a terminal."""

import signal
import subprocess
from collections.abc import Sequence
from typing import Any, Literal


def interrupt(
    command: Sequence[str], when: str, on: Literal["stdout", "stderr"], **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command until it has said `when`, and press Ctrl-C then.

    It returns when everybody has closed the command's outputs, the servers that it started too.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background of a shell has it ignored, and what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    ) as running:
        output = getattr(running, on)
        while when not in output.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        try:
            said, errors = running.communicate(timeout=20)
        finally:
            running.kill()
    return subprocess.CompletedProcess(command, running.returncode, said, errors)
