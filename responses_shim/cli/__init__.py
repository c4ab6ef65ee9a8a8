"""The `responses-shim` command.

    responses-shim run vllm-mlx serve model              start a server by its own command, with the shim mounted
    responses-shim proxy http://127.0.0.1:8080/v1        serve the Responses API for a server that is no Python program
    responses-shim demo                                  stream an answer from a small real engine
    responses-shim doctor http://127.0.0.1:8000/v1       examine a running server, and say what to change
    responses-shim codex                                 print what Codex needs in its configuration
    responses-shim store list                            see, count and delete what is stored
    responses-shim surface                               print which parts of the API are supported, as Markdown
    responses-shim version                               print the version

A failure with a known cause is printed as one line to standard error. The exit code is 2 if the command line or the
installation is at fault, 1 if something fails later.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from responses_shim import __version__
from responses_shim.cli import codex, demo, doctor, embedded, launch, proxy, store
from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.surface import markdown
from responses_shim.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    `arguments` are what comes after the program's name on the command line, by default that of the process. What a
    server raises that `run` has started is passed on, SystemExit included, so that the process ends as the server does.
    """
    own_arguments, server_command = _split(list(sys.argv[1:] if arguments is None else arguments))
    parser = _parser()
    options = parser.parse_args(own_arguments)
    if options.command == "run" and not server_command:
        parser.error("run needs the command of a server: responses-shim run COMMAND …")
    serve = None
    try:
        if options.command == "run":
            serve = launch.prepare(server_command, with_parent=options.with_parent)
        elif options.command == "proxy":
            proxy.run(options)
        elif options.command == "demo":
            demo.run(options)
        elif options.command == "doctor":
            return doctor.run(options)
        elif options.command == "codex":
            codex.run(options)
        elif options.command == "store":
            store.run(options)
        elif options.command == "surface":
            print(markdown(), end="")
        else:
            print(f"responses-shim {__version__}")
    except ConfigurationError as error:
        return _fail(str(error), exit_code=2)
    except CommandFailed as failure:
        return _fail(str(failure), failure.details, failure.exit_code)
    except KeyboardInterrupt:
        return 130  # what a shell reports for a command that was ended by Ctrl-C
    except BrokenPipeError:
        # The reader of the output (`| head`) has ended. Python would print another error when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if serve is not None:
        try:
            serve()
        except ConfigurationError as error:
            return _fail(str(error), exit_code=2)
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into the shim's own, and the command of the server that `run` starts.

        ["run", "--with-parent", "--", "vllm-mlx", "serve", "--port", "1"]
            → ["run", "--with-parent"], ["vllm-mlx", "serve", "--port", "1"]

    The command begins with the first word that is no option, with `-m`, or after a `--`; all that follows is the
    command's, even `--help`. argparse cannot do this, since Python versions differ in what it does with `--`.
    """
    if arguments[:1] != ["run"]:
        return arguments, []
    for index, word in enumerate(arguments[1:], 1):
        if word == "--":
            return arguments[:index], arguments[index + 1 :]
        if word == "-m" or not word.startswith("-"):
            return arguments[:index], arguments[index:]
    return arguments, []


def _fail(message: str, details: Sequence[str] = (), exit_code: int = 1) -> int:
    print(f"responses-shim: {message}", file=sys.stderr)
    for line in details:
        print(f"  | {line}", file=sys.stderr)
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="responses-shim",
        description="OpenAI's Responses API on inference servers that speak Chat Completions.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run_parser = commands.add_parser(
        "run",
        usage="responses-shim run [-h] [--with-parent] [--] COMMAND [the command's own arguments]",
        help="start a server by its own command, with the shim mounted",
        description="Run a command that serves a Starlette or FastAPI app, with the shim mounted on that app, also in "
        "the workers that it starts. COMMAND is a console script of this Python environment (vllm-mlx serve MODEL, "
        "uvicorn mine:app), a Python file, or -m MODULE as for Python. "
        f"Names of their own have: {', '.join(sorted(launch.HOSTS))}.",
        epilog="The shim's settings come from the environment, as RESPONSES_SHIM_<NAME>.",
    )
    run_parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input is closed, so that the server does not outlive the process that started it",
    )

    proxy_parser = commands.add_parser(
        "proxy",
        help="serve the Responses API for a server that is no Python program",
        description=proxy.DESCRIPTION,
        epilog=proxy.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    proxy.add_options(proxy_parser)

    demo_parser = commands.add_parser(
        "demo",
        help="stream an answer through the shim, and print snippets to try next",
        description="Start a small real engine (vllm-mlx or llama-cpp-python, with SmolLM2), stream an answer through "
        "the shim, show its events as they come, print snippets to paste, and keep the server running. "
        f"Needs {embedded.MLX.install}, unless --url gives a server that is running already.",
    )
    demo.add_options(demo_parser)

    doctor_parser = commands.add_parser(
        "doctor",
        help="examine a running server, and say what to change",
        description="Examine a running server over HTTP: which host it is, whether the shim answers, what chat and the "
        "Responses API do there. Some seventy checks, each with a grade, a reason and what to change. They ask the "
        "model for some fifty answers, which takes half a minute or more; nobody else should use the server meanwhile.",
        epilog="The exit code is 1 if something is broken, or required and not ok; 2 if nothing could be examined.",
    )
    doctor.add_options(doctor_parser)

    codex_parser = commands.add_parser(
        "codex",
        help="print what Codex needs in its config.toml to use a running shim",
        description="Print a block for Codex's config.toml that makes a running shim its model provider.",
    )
    codex.add_options(codex_parser)

    store_parser = commands.add_parser(
        "store",
        help="see, count and delete what is stored",
        description="See, count and delete the responses and conversations in the store that the settings name.",
        epilog="The store is that of RESPONSES_SHIM_STORE, as for the server.",
    )
    store.add_options(store_parser)

    commands.add_parser("surface", help="print which parts of the API are supported: every field, item, tool and event")
    commands.add_parser("version", help="print the version")
    return parser
