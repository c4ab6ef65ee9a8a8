"""What each server has been seen to do with the shim: a record that the live tests write, and tables made of it.

A live test says by its marker which features it shows of the server in whose folder it is, under which condition, or
that the server has not got them, and why:

    @pytest.mark.feature("function calls", "parallel calls")
    @pytest.mark.feature("cached tokens", note="with --enable-prompt-tokens-details")
    @pytest.mark.feature("log-probabilities", no="the server's chat API has none")

A `no` is tested as well: its test sees how the request is refused, or what the report says was left out.

    pytest -m "live or feature" integrations --features-file integrations/features.json
    python -m integrations.features

The first adds what the tests that passed have shown to the record; what failed is taken out, what was skipped stays.
The second writes the tables of the documents anew. `--check FILE` compares instead: whether all that the record says is
also in that file, which a run of one's own has written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "features.json"


@dataclass(frozen=True)
class Host:
    """A server: its name, with its version where it has one, and what answers in its tests."""

    name: str
    answers: str

    @property
    def version(self) -> str:
        """The version at the end of the name; empty if there is none."""
        last = self.name.split()[-1]
        return last if last[0].isdigit() else ""


HOSTS = {
    "llama_cpp": Host("llama-cpp-python 0.3.36", "a real model"),
    "vllm": Host("vLLM 0.32", "a scripted engine, a small model"),
    "vllm_mlx": Host("vllm-mlx 0.6", "a scripted model"),
    "mlx_vlm": Host("mlx-vlm 0.7", "a scripted model"),
    "rapid_mlx": Host("rapid-mlx 0.16", "a scripted model"),
    "mlx_openai_server": Host("mlx-openai-server 1.8", "a scripted model"),
    "proxy": Host("any server by HTTP", "a real server"),
    "generic": Host("any other ASGI app", "a scripted chat server"),
}
"""The servers by the folder of their tests, in the order of the tables."""

FEATURES = {
    "text": "text, streamed and not",
    "reasoning": "reasoning, apart from the text",
    "function calls": "function calls, and their outputs",
    "parallel calls": "several calls at once",
    "named function": "`tool_choice`: a named function",
    "required call": "`tool_choice`: `required`",
    "calls read from text": "calls without a tool parser, read from the text",
    "structured output": "structured output (`text.format`)",
    "structured output beside tools": "structured output beside tools",
    "log-probabilities": "log-probabilities",
    "token ids": "token ids (`return_token_ids`)",
    "usage": "token counts",
    "cached tokens": "of these, cached tokens",
    "reasoning tokens": "of these, reasoning tokens",
    "images": "images",
    "prefix cache": "each turn's prompt begins with the last one's",
    "disconnect": "a client that leaves stops the engine",
    "several requests": "several requests at once",
    "state": "`previous_response_id`, stored responses",
    "background": "`background`, polled and cancelled",
    "Codex": "Codex CLI runs a command and patches a file",
}
"""The features by the name that markers give them, in the order of the table, with what the table says."""

IN_SHORT = {
    "named function": "forced calls",
    "required call": "forced calls",
    "usage": "token counts",
    "cached tokens": "token details",
    "reasoning tokens": "token details",
}
"""What the short table calls features that it does not call by their names."""

VERDICT = re.compile(r"yes(: .+)?|no: .+")


@dataclass(frozen=True, order=True)
class Finding:
    """What one test has shown of one server. The test is a node id without parameters."""

    host: str
    feature: str
    test: str
    verdict: str = "yes"

    def __post_init__(self) -> None:
        """Raise ValueError for a host, a feature or a verdict that no table has."""
        for name, known in ((self.host, HOSTS), (self.feature, FEATURES)):
            if name not in known:
                raise ValueError(f"{self.test}: integrations/features.py knows no {name!r}, only {', '.join(known)}")
        if not VERDICT.fullmatch(self.verdict):
            raise ValueError(f"{self.test}: {self.verdict!r} is none of 'yes', 'yes: WHEN' and 'no: WHY'")


def marked_findings(folder: str, test: str, *names: str, note: str = "", no: str = "", host: str = "") -> list[Finding]:
    """What a test in this folder shows that is marked `@pytest.mark.feature(*names, ...)`.

    `note`: under which condition the server has these features. `no`: why it has not got them. `host`: which server it
    is, if not that of the folder. Raises ValueError for what no table has.
    """
    if note and no:
        raise ValueError(f"{test}: it cannot be both, a note and a no")
    verdict = f"no: {no}" if no else f"yes: {note}" if note else "yes"
    return [Finding(host or folder, name, test.partition("[")[0], verdict) for name in names]


# The record --------------------------------------------------------------------------------------------------------


def read(file: Path) -> set[Finding]:
    """The findings in a record; none if there is no such file."""
    if not file.exists():
        return set()
    record: dict[str, dict[str, dict[str, str]]] = json.loads(file.read_text(encoding="utf-8"))
    return {
        Finding(host, feature, test, verdict)
        for host, features in record.items()
        for feature, tests in features.items()
        for test, verdict in tests.items()
    }


def write(file: Path, findings: Iterable[Finding]) -> None:
    """Write a record: JSON of `{host: {feature: {test: verdict}}}`, sorted."""
    record: dict[str, dict[str, dict[str, str]]] = {}
    for found in sorted(findings):
        record.setdefault(found.host, {}).setdefault(found.feature, {})[found.test] = found.verdict
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# The tables --------------------------------------------------------------------------------------------------------


class Notes:
    """Numbers the notes of a table, equal ones alike."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The mark of a note, such as `[1]`."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def cell(verdicts: Iterable[str], notes: Notes) -> str:
    """What a table says of one feature of one server: `✓`, `✓ [1]`, `– [1]`, or nothing if no test has shown it.

    Raises ValueError if one test says yes and another no.
    """
    split = [verdict.partition(": ") for verdict in sorted(set(verdicts))]
    answers = {answer for answer, _, _ in split}
    if len(answers) > 1:
        raise ValueError(f"tests contradict each other: {split}")
    marks = [notes.mark(note) for _, _, note in split if note]
    return " ".join([{"yes": "✓", "no": "–"}[answer] for answer in answers] + marks)


def hosts_in(findings: set[Finding]) -> list[str]:
    """The servers of which anything has been seen, in the order of the tables."""
    return [name for name in HOSTS if any(found.host == name for found in findings)]


def verdicts_on(findings: set[Finding], host: str, feature: str) -> list[str]:
    return [found.verdict for found in findings if (found.host, found.feature) == (host, feature)]


def feature_table(findings: set[Finding]) -> Iterator[str]:
    """The lines of the complete table, with a row for each feature and a column for each server, and of its notes."""
    names, notes = hosts_in(findings), Notes()
    yield "| | " + " | ".join(HOSTS[name].name for name in names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for feature, description in FEATURES.items():
        cells = [cell(verdicts_on(findings, name, feature), notes) for name in names]
        yield "| " + " | ".join([description, *cells]) + " |"
    yield ""
    yield from (f"{number}. {text}" for number, text in enumerate(notes.texts, 1))


def server_table(findings: set[Finding]) -> Iterator[str]:
    """The lines of the short table: a row for each server, with what it has not got."""
    yield "| server | in CI, on Linux, with | not there |"
    yield "|---|---|---|"
    for name in hosts_in(findings):
        host = HOSTS[name]
        missing = [
            IN_SHORT.get(feature, feature)
            for feature in FEATURES
            if any(verdict.startswith("no") for verdict in verdicts_on(findings, name, feature))
        ]
        yield f"| {host.name} | {host.answers} | {', '.join(dict.fromkeys(missing)) or '–'} |"


TABLES = {"features": (HERE / "README.md", feature_table), "servers": (HERE.parent / "README.md", server_table)}
"""The tables by the name of the marks around them, with the document they are in."""


def marked(name: str) -> re.Pattern[str]:
    """Matches the table between the lines `<!-- NAME -->` and `<!-- /NAME -->`, as its only group."""
    return re.compile(rf"(?<=<!-- {name} -->\n)(.*?)(?=<!-- /{name} -->\n)", re.S)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m integrations.features", description="Write the tables anew.")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="only compare the record with what a run of the tests has written"
    )
    options = parser.parse_args(words)
    findings = read(RECORD)
    if options.check is not None:
        unseen = sorted(findings - read(options.check))
        for found in unseen:
            print(f"not seen: {found.host}: {found.feature}: {found.verdict} ({found.test})", file=sys.stderr)
        return 1 if unseen else 0
    for name, (document, table) in TABLES.items():
        begins, _, ends = marked(name).split(document.read_text(encoding="utf-8"))
        lines = "\n".join(table(findings)).strip()
        document.write_text(f"{begins}{lines}\n{ends}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
