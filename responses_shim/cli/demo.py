"""`responses-shim demo`: stream an answer through the shim, show its events, and print snippets to try next."""

from __future__ import annotations

import argparse
import json
import sys
from io import TextIOWrapper
from textwrap import indent

from responses_shim.cli import embedded, snippets
from responses_shim.cli.child import LOOPBACK, free_port, port_error
from responses_shim.cli.client import fetch_models, read_api_key, stream_response
from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.server import Server
from responses_shim.cli.transcript import Transcript

PORT = 8000
PROMPT = "Write a short poem about the sea."
MAX_OUTPUT_TOKENS = 120
START_SECONDS = 120.0
"""How long the engine may take to load the model."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--prompt", default=PROMPT, help="what to ask the model (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, help=f"where the server listens (default: {PORT}, or a free one if it is taken)"
    )
    parser.add_argument(
        "--engine",
        choices=list(embedded.ENGINES),
        help="which engine to start (default: the first of these that is installed)",
    )
    parser.add_argument("--once", action="store_true", help="end the server after the answer")
    parser.add_argument("--url", help="use a server that is already running, such as http://host:8000/v1")
    parser.add_argument("--model", help="the model to use at --url (default: the first that the server lists)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--api-key", metavar="KEY", help="the key for --url")
    key.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the key for --url")


def run(options: argparse.Namespace) -> None:
    """Run the command. It ends after the answer with `--once` or `--url`, otherwise by Ctrl-C.

    Raises CommandFailed or ConfigurationError, with a message of one line, if it cannot go on.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A model may write a character that the encoding of standard output lacks. It becomes a question mark.
        sys.stdout.reconfigure(errors="replace")
    if options.url is not None:
        _use_running_server(options)
    else:
        _start_server(options)


def _use_running_server(options: argparse.Namespace) -> None:
    key = options.api_key if options.api_key_env is None else read_api_key(options.api_key_env)
    url = options.url.rstrip("/")
    server = Server(url, options.model or fetch_models(url, key)[0].id, key)
    _show_response(server, options.prompt)
    _show_snippets(server)


def _start_server(options: argparse.Namespace) -> None:
    engine, model = embedded.find_engine(options.engine), embedded.model_file()
    port = _choose_port(options.port)
    server = Server(f"http://{LOOPBACK}:{port}/v1", embedded.MODEL_NAME)
    _print_line(f"Starting {engine.title} with {model.name} and the shim on {server.base_url} ...")
    with embedded.server(engine, model, port) as child:
        child.wait_until_listening(START_SECONDS)
        try:
            _show_response(server, options.prompt)
        except CommandFailed:
            # If the server has crashed, its last lines explain more than the broken connection, which is noticed first.
            child.check(within=1)
            raise
        if options.once:
            return
        _show_snippets(server)
        _print_line("Codex needs a larger model than this one: its own prompt is about 10,000 tokens.")
        try:
            _print_line(f"\nThe server keeps running at {server.base_url}. Ctrl-C ends it.")
            child.wait()
        except KeyboardInterrupt:
            _print_line("\nEnded.")


def _choose_port(wanted: int | None) -> int:
    """The port that is wanted; if none is, the default one, or any free one if that is taken.

    Raises CommandFailed if the port that is wanted cannot be used.
    """
    error = port_error(PORT if wanted is None else wanted)
    if error is None:
        return PORT if wanted is None else wanted
    if wanted is not None:
        raise CommandFailed(
            f"port {wanted} cannot be used ({error}): choose another with --port, "
            f"or use the server that listens there with --url http://{LOOPBACK}:{wanted}/v1",
            exit_code=2,
        )
    port = free_port()
    _print_line(f"Port {PORT} cannot be used ({error}): taking {port}.")
    return port


def _show_response(server: Server, prompt: str) -> None:
    """Print the events of one response as they come. Raises CommandFailed unless it is completed or incomplete."""
    request = {"model": server.model, "input": prompt, "max_output_tokens": MAX_OUTPUT_TOKENS}
    _print_line(f"\nPOST {server.responses_url}\n{json.dumps({**request, 'stream': True}, ensure_ascii=False)}\n")
    transcript = Transcript(colour=sys.stdout.isatty())
    try:
        for ms, event in stream_response(server, request):
            _write(transcript.feed(ms, event))
    finally:
        _write(transcript.end())
    if transcript.status not in ("completed", "incomplete"):
        failure = f"the response {transcript.status}" if transcript.status else "the stream ended too early"
        raise CommandFailed(f"{failure}: {transcript.problem or 'the server gave no reason'}")


def _show_snippets(server: Server) -> None:
    key_variable = None if server.api_key is None else snippets.KEY_VARIABLE
    sections = (
        ("curl", snippets.curl(server)),
        ("OpenAI SDK for Python (pip install openai)", snippets.openai_sdk(server)),
        ("Codex, in ~/.codex/config.toml", snippets.codex(server.base_url, server.model, key_variable)),
    )
    for title, snippet in sections:
        _print_line(f"\n# {title}\n")
        _print_line(indent(snippet, "    "))
    if key_variable is not None:
        _print_line(f"\nFirst: export {key_variable}=... (the key you gave).")


def _port(text: str) -> int:
    """The type of `--port`, for argparse."""
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is not a port: 1 to 65535")
    return port


def _print_line(text: str) -> None:
    print(text, flush=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
