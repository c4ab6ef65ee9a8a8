"""`responses-shim doctor`: examine a running server over HTTP, and say what to change.

Each check has a grade:

- `ok`: it works.
- `missing`: the server does not do it. Nothing is wrong with what it does, but requests that need this get less.
- `broken`: what the server does is wrong, and whoever relies on it fails or is misled.
- `untested`: it could not be seen. A model may choose to call no tool; a check may need something that is not there.

The exit code is 1 if anything is `broken`, or if a check that was required (`--require`) is not `ok`; else 0. It is 2
if the server cannot be asked at all, or the command line is wrong.

The checks are data: tuples of `Check`, each with a function that asks the server and returns a finding. Whatever the
server sends, no check raises and none takes longer than its limit.

    connection.py  lookup.py  turns.py       asking within limits; reading JSON that may be anything; what a turn says
    subject.py  hosts.py  questions.py       the server; which kind it is; what it is asked
    findings.py  checks.py  advice.py        grades and the report; what a check is; what to change
    server_checks.py  chat_checks.py  response_checks.py  state_checks.py  error_checks.py  load_checks.py
    stream_rules.py  pace.py                 what holds of a stream; whether it comes as it is written
    own_settings.py  text.py                 doctor's own environment; the report as text and JSON
"""

from responses_shim.cli.doctor.command import add_options, run

__all__ = ["add_options", "run"]
