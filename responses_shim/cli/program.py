"""The command of a server, as it is typed, and how it is run in this process: as Python itself would run it."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from responses_shim.errors import ConfigurationError

_PYTHON = re.compile(r"(python|pypy)(?P<version>\d(\.\d+)?)?w?(\.exe)?")
"""The file name of a Python interpreter."""

_EXEC_LINE = re.compile(rb"'''exec' (\"[^\"]+\"|\S+) \"\$0\" \"\$@\"")
"""The second line of a console script whose interpreter has a path too long, or with spaces, for the first."""

_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}


@dataclass(frozen=True)
class Program:
    """A Python program with its arguments: a file, or a module as with `python -m`."""

    name: str
    """The path of the file, or the dotted name of the module."""
    arguments: tuple[str, ...]
    is_module: bool = False

    def run(self) -> None:
        """Run the program as the main module of this process, until it ends.

        It finds `sys.argv`, `sys.path` and `__main__` as if Python had started it, and so do processes that it spawns.
        Whatever it raises is passed on, SystemExit included.
        """
        sys.argv = [self.name, *self.arguments]
        self.set_path()
        if self.is_module:
            runpy.run_module(self.name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(self.name, run_name="__main__")

    def set_path(self) -> None:
        """Make the first entry of `sys.path` that of the program: its folder, or for a module the working directory."""
        if not getattr(
            sys.flags, "safe_path", False
        ):  # an option of Python 3.11 and later: then there is no such entry
            sys.path[0] = os.getcwd() if self.is_module else str(Path(self.name).resolve().parent)


def find_program(command: Sequence[str]) -> Program:
    """The program that a command line runs: `NAME …`, `FILE …`, `-m MODULE …`, or one of these after `python`.

    Raises ConfigurationError, with a message of one line, if there is none, if it is no Python program, or if it
    belongs to another Python environment than this one.
    """
    first, *rest = command
    if _PYTHON.fullmatch(Path(first).name):
        _check_interpreter(first, rest)
        return _after_python(rest)
    if first == "-m":
        return _module(rest)
    return Program(_file(first, rest), tuple(rest))


def _after_python(words: Sequence[str]) -> Program:
    if words[:1] == ["-m"]:
        return _module(words[1:])
    if not words or words[0].startswith("-"):
        option = words[0] if words else "no program"
        raise ConfigurationError(
            f"after python only a file or -m MODULE can be run, not {option}: "
            "give options of Python's own as python OPTIONS -m responses_shim.cli run -m MODULE"
        )
    return Program(_existing_file(words[0]), tuple(words[1:]))


def _module(words: Sequence[str]) -> Program:
    if not words:
        raise ConfigurationError("-m needs the name of a module")
    name, *arguments = words
    program = Program(name, tuple(arguments), is_module=True)
    program.set_path()  # the module may be in the working directory
    try:
        found = find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigurationError(f"there is no module {name} in this Python environment ({sys.prefix})")
    return program


def _file(word: str, rest: Sequence[str]) -> str:
    """The file of a command: a path, a console script of this environment, or whatever is on PATH."""
    if os.sep in word:
        path = _existing_file(word)
    else:
        own = sysconfig.get_path("scripts")
        path = shutil.which(word, path=own) or shutil.which(word) or (word if os.path.isfile(word) else "")
    if not path:
        raise ConfigurationError(f"there is no command {word} in this Python environment ({sys.prefix}) or on PATH")
    _check_script(path, word, rest)
    return path


def _existing_file(path: str) -> str:
    if not os.path.exists(path):
        raise ConfigurationError(f"there is no file {path}")
    return path


def _check_interpreter(word: str, rest: Sequence[str]) -> None:
    """Refuse another Python than this one. A name without a path means this one, whatever PATH says."""
    match = _PYTHON.fullmatch(Path(word).name)
    assert match is not None
    version = match["version"] or ""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    same = own.startswith(version) if os.sep not in word else _is_own_interpreter(word)
    if not same:
        raise ConfigurationError(_elsewhere(word, shlex.join(rest[:2]), shutil.which(word) or word))


def _check_script(path: str, word: str, rest: Sequence[str]) -> None:
    """Refuse a file that is no Python program, or that the first line gives to another Python environment."""
    if os.path.isdir(path) or path.endswith((".py", ".pyz", ".exe")):
        return
    with open(path, "rb") as file:
        first, second = file.readline(4096).strip(), file.readline(4096).strip()
    words = first.removeprefix(b"#!").decode(errors="replace").split() if first.startswith(b"#!") else []
    interpreter = words[0] if words else ""
    long_path = _EXEC_LINE.match(second)
    if Path(interpreter).name in _SHELLS and long_path is not None:
        interpreter = long_path[1].decode(errors="replace").strip('"')
    elif Path(interpreter).name == "env":
        interpreter = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
    if not _PYTHON.fullmatch(Path(interpreter).name):
        raise ConfigurationError(f"{path} is not a Python program, so the shim cannot be mounted in it")
    if os.sep in interpreter and not _is_own_interpreter(interpreter):
        raise ConfigurationError(_elsewhere(path, shlex.join([word, *rest[:1]]), interpreter))


def _is_own_interpreter(path: str) -> bool:
    """Whether an interpreter is that of this environment: of all that link to one Python, its folder says which."""
    folder = Path(path).parent
    if folder.resolve() == Path(sys.executable).parent.resolve():
        return True
    in_environment = sys.prefix != sys.base_prefix or (folder.parent / "pyvenv.cfg").exists()
    return not in_environment and Path(path).resolve() == Path(sys.executable).resolve()


def _elsewhere(what: str, command: str, interpreter: str) -> str:
    other = Path(interpreter).parent.parent
    return (
        f"{what} belongs to another Python environment ({other}) than this one ({sys.prefix}): "
        f"{interpreter} -m pip install responses-shim, then {other / 'bin' / 'responses-shim'} run {command} …"
    )
