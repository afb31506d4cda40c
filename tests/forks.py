"""Commands in forks of one process that has imported what they share: none waits seconds for PyTorch.

`python -m tests.forks SOCKET` is that process. `python tests/forks.py SOCKET python -m gan_caption.train ...` has it
run a command in a fork that has the caller's folder, environment, input and output, and ends with the fork's status.
`shortened.py` says what the command becomes.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

SHARED = (
    "torch._dynamo", "wandb.sdk.launch", "pandas", "requests", "hydra.utils", "gan_caption.experiment",
    "gan_caption.inference.captioner", "gan_caption.metrics.language_model", "gan_caption.reporting.report",
    "torch.export._trace", "torch._inductor.codecache", "onnxscript.optimizer", "matplotlib.figure",
    "transformers.models.gpt2.modeling_gpt2",
)  # fmt: skip
"""`torch._dynamo` is what optimizers import at their first step; W&B brings what has its name, pandas and requests.

The last two lines are what exports, reports and a language model begin with.
"""
WITHIN = "within"
"""The program that a command has for the interpreter: what it starts itself forks as well."""
PATIENCE = 30
"""Seconds that a command has to end by Ctrl-C."""


def ask(address: str, words: list[str]) -> int:
    """Have a command run, and return its exit status."""
    asked = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [f"{len(asked):8}".encode()], [0, 1, 2])
        connection.sendall(asked)
        status = connection.recv(1)
    return status[0] if status else 1


def serve(address: str) -> None:
    """Fork for each command that is asked for; this returns in the forks, when their command has ended."""
    from tests.shortened import main

    for name in SHARED:
        importlib.import_module(name)
    importlib.import_module("tests.frozen")
    connection = _accept(address)
    head, descriptors, *_ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as told:
        words, folder, environment = json.loads(told.read(int(head)))
    if command := os.fork():
        with contextlib.suppress(BrokenPipeError):  # the caller was told to end as well
            connection.send(bytes([_ended(command, connection)]))
        os._exit(0)
    connection.close()
    os.setsid()
    for own, given in enumerate(descriptors):
        os.dup2(given, own)
        os.close(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder  # where `python -m` looks first
    sys.executable = os.path.join(os.path.dirname(address), "programs", WITHIN)
    _do(main, words)


def _do(command: Callable[..., None], words: list[str]) -> NoReturn:
    """Do a command and end as the interpreter does, but for what was imported: to take that down would copy it all.

    This is how `multiprocessing` ends its own forks. By Ctrl-C it ends as all others do.
    """
    status = 0
    try:
        command(*words)
    except SystemExit as told:
        status = told.code if isinstance(told.code, int) else int(told.code is not None)
        if isinstance(told.code, str):
            print(told.code, file=sys.stderr)
    except Exception:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = 120  # the interpreter's own
    os._exit(status & 0xFF)


def _accept(address: str) -> socket.socket:
    """Return a connection to whom asks, in a fork of its own; the process itself goes on listening."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for these forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return connection
            connection.close()


def _ended(command: int, connection: socket.socket) -> int:
    """Wait for a command to end, and return its status; once nobody waits for its answer it is told to end."""
    ended = os.pidfd_open(command)
    ready, _, _ = select.select([ended, connection], [], [])
    if connection in ready:
        os.killpg(command, signal.SIGINT)
        if ended not in select.select([ended], [], [], PATIENCE)[0]:
            os.killpg(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
