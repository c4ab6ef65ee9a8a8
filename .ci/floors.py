"""The oldest versions we claim to work with, one a line for `pip install -r`: python .ci/floors.py >floors.txt

Those of the dependencies and of every extra a user may install. `dev` is tools, which are as new as they come; `demo`
and `llama-cpp` are engines, and the live tests have them; `proxy` is the server that many tests run on, in the version
that `dev` brings (an old one warns of the library for WebSockets, which the proxy does without).
"""

import re
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pip brings it
    from pip._vendor import tomli as tomllib

NOT_OURS = {"dev", "demo", "llama-cpp", "proxy"}
FLOOR = re.compile(r"(?P<name>[\w.-]+(?:\[[\w,-]+\])?)>=(?P<version>[\d.]+)\s*(?P<marker>;.*)?")

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
ours = [requirement for name in extras if name not in NOT_OURS for requirement in extras[name]]
for requirement in project["dependencies"] + ours:
    floor = FLOOR.fullmatch(requirement)
    assert floor, f"no floor, or more than a floor: {requirement}"
    print(f"{floor['name']}=={floor['version']}{floor['marker'] or ''}")
