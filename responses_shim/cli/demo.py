"""`responses-shim demo`: an answer from a real engine through the shim, as it comes, and what to paste."""

from __future__ import annotations

import argparse
import json
import sys
from io import TextIOWrapper
from textwrap import indent

from responses_shim.cli import embedded, snippets
from responses_shim.cli.ask import key_in, listed_models, stream_response
from responses_shim.cli.child import LOOPBACK, free_port, why_not_free
from responses_shim.cli.failure import CommandFailed
from responses_shim.cli.server import Server
from responses_shim.cli.transcript import Transcript

PORT = 8000
PROMPT = "Write a short poem about the sea."
MAX_OUTPUT_TOKENS = 120
START_SECONDS = 120.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", default=PROMPT, help="what to ask (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, help=f"where the server listens (default: {PORT}, or a free one if it is taken)"
    )
    parser.add_argument("--once", action="store_true", help="end the server after the answer")
    parser.add_argument("--url", help="show it on a server that is already there, as in http://host:8000/v1")
    parser.add_argument("--model", help="the model to name at --url (default: the first in its GET /models)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--api-key", metavar="KEY", help="the key for --url")
    key.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the key for --url")


def run(options: argparse.Namespace) -> None:
    """Ends after the answer with `--once` or `--url`, else by Ctrl-C.

    CommandFailed or ConfigurationError, in one line, where it cannot go on.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A model writes what it likes; where standard output lacks a character it gets a question mark.
        sys.stdout.reconfigure(errors="replace")
    if options.url is not None:
        _show_there(options)
    else:
        _show_embedded(options)


def _show_there(options: argparse.Namespace) -> None:
    key = options.api_key if options.api_key_env is None else key_in(options.api_key_env)
    url = options.url.rstrip("/")
    server = Server(url, options.model or listed_models(url, key)[0].id, key)
    _answer(server, options.prompt)
    _show_snippets(server)


def _show_embedded(options: argparse.Namespace) -> None:
    model = embedded.model_file()
    port = _choose_port(options.port)
    server = Server(f"http://{LOOPBACK}:{port}/v1", embedded.MODEL_NAME)
    _say(f"Starting llama-cpp-python with {model.name} and the shim on {server.base_url} ...")
    with embedded.server(model, port) as child:
        child.wait_until_listening(START_SECONDS)
        try:
            _answer(server, options.prompt)
        except CommandFailed:
            # A server that has died explains more than a connection that broke, which is seen a little earlier.
            child.check(within=1)
            raise
        if options.once:
            return
        _show_snippets(server)
        _say("Codex also wants a larger model than this one: its own prompt is about 10,000 tokens.")
        try:
            _say(f"\nThe server keeps running at {server.base_url}. Ctrl-C ends it.")
            child.wait()
        except KeyboardInterrupt:
            _say("\nEnded.")


def _choose_port(wanted: int | None) -> int:
    """`wanted` if it is free, else a failure. If none is wanted, the default one, else any that is free."""
    why_not = why_not_free(PORT if wanted is None else wanted)
    if why_not is None:
        return PORT if wanted is None else wanted
    if wanted is not None:
        raise CommandFailed(
            f"port {wanted} cannot be used ({why_not}): choose another with --port, "
            f"or ask what listens there with --url http://{LOOPBACK}:{wanted}/v1",
            exit_code=2,
        )
    port = free_port()
    _say(f"Port {PORT} cannot be used ({why_not}): taking {port}.")
    return port


def _answer(server: Server, prompt: str) -> None:
    """Shows the events of one response as they come. CommandFailed unless it is completed or incomplete."""
    request = {"model": server.model, "input": prompt, "max_output_tokens": MAX_OUTPUT_TOKENS}
    _say(f"\nPOST {server.responses_url}\n{json.dumps({**request, 'stream': True}, ensure_ascii=False)}\n")
    transcript = Transcript(colour=sys.stdout.isatty())
    try:
        for ms, event in stream_response(server, request):
            _write(transcript.feed(ms, event))
    finally:
        _write(transcript.end())
    if transcript.status not in ("completed", "incomplete"):
        what = f"the response {transcript.status}" if transcript.status else "the stream ended too early"
        raise CommandFailed(f"{what}: {transcript.problem or 'the server gave no reason'}")


def _show_snippets(server: Server) -> None:
    key_variable = None if server.api_key is None else snippets.KEY_VARIABLE
    sections = (
        ("curl", snippets.curl(server)),
        ("OpenAI SDK for Python (pip install openai)", snippets.openai_sdk(server)),
        ("Codex, in ~/.codex/config.toml", snippets.codex(server.base_url, server.model, key_variable)),
    )
    for title, snippet in sections:
        _say(f"\n# {title}\n")
        _say(indent(snippet, "    "))
    if key_variable is not None:
        _say(f"\nFirst: export {key_variable}=... (the key you gave).")


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is not a port: 1 to 65535")
    return port


def _say(text: str) -> None:
    print(text, flush=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
