"""Processes that answer to signals as those that a terminal starts, whatever started the tests.

A shell starts background jobs deaf to SIGINT, and nohup to SIGHUP; their children inherit it.
"""

from __future__ import annotations

import signal


def hear_signals() -> None:
    """For `preexec_fn` of `subprocess.Popen`."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
