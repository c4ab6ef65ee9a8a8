"""The clients that are asked in every situation, and how each is installed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from integrations.running import installation, node_command, not_installed

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Installation:
    """Where clients are installed, and the command that installs them there.

    `variable` is the environment variable that names the folder; None is the environment in which the tests run.
    """

    variable: str | None
    command: str


DEV = Installation(None, 'pip install -e ".[dev]", on Python 3.11 or later')
PYTHON_CLIENTS = Installation(
    "PYTHON_CLIENTS",
    "python3 -m venv ~/python-clients && ~/python-clients/bin/pip install "
    "crewai==1.15.30 haystack-ai==3.4.1 llama-index-llms-openai==0.8.3 'mirascope[openai]==2.8.2'",
)
OPENAI_NODE = Installation(
    "OPENAI_NODE",
    "npm install --prefix ~/openai-node openai@7.55.0 @openai/agents@0.20.0",
)
AI_SDK_6 = Installation(
    "AI_SDK",
    "npm install --prefix ~/ai-sdk ai@6.0.326 @ai-sdk/openai@3.0.141 @ai-sdk/open-responses@1.0.39",
)
AI_SDK_7 = Installation(
    "AI_SDK_7",
    "npm install --prefix ~/ai-sdk-7 ai@7.0.173 @ai-sdk/openai@4.0.118 @ai-sdk/open-responses@2.0.36",
)


@dataclass(frozen=True)
class Client:
    """A client: its script in this folder, the package that it needs of an installation, and for the AI SDK, which
    of its two providers it uses."""

    script: str
    package: str
    installation: Installation
    provider: str = ""

    def command(self, folder: Path) -> list[str]:
        """The command that runs the script; one for Node is copied to `folder`, which is made.

        Raises pytest's Skipped, or in CI its Failed, if the client is not installed.
        """
        variable, command = self.installation.variable, self.installation.command
        if variable is not None and self.script.endswith(".mjs"):
            return node_command(FOLDER / self.script, self.package, variable, command, folder)
        # As a module, for the scripts have much in common; and a script's own folder would come before all packages.
        module = ["-m", f"integrations.clients.{Path(self.script).stem}"]
        if variable is None:
            if importlib.util.find_spec(self.package) is None:
                not_installed(f"needs {command}")
            return [sys.executable, *module]
        python = installation(variable) / "bin" / "python"
        if not python.exists():
            not_installed(f"needs {variable} to name the folder of: {command}")
        return [str(python), *module]


CLIENTS = {
    "openai-python": Client("ask_openai.py", "openai", DEV),
    "openai-agents-python": Client("ask_openai_agents.py", "agents", DEV),
    "langchain": Client("ask_langchain.py", "langchain_openai", DEV),
    "pydantic-ai": Client("ask_pydantic_ai.py", "pydantic_ai", DEV),
    "crewai": Client("ask_crewai.py", "crewai", PYTHON_CLIENTS),
    "haystack": Client("ask_haystack.py", "haystack", PYTHON_CLIENTS),
    "llama-index": Client("ask_llama_index.py", "llama_index", PYTHON_CLIENTS),
    "mirascope": Client("ask_mirascope.py", "mirascope", PYTHON_CLIENTS),
    "openai-node": Client("ask_openai.mjs", "openai", OPENAI_NODE),
    "openai-agents-js": Client("ask_openai_agents.mjs", "@openai/agents", OPENAI_NODE),
    "ai-sdk-6-openai": Client("ask_ai_sdk.mjs", "@ai-sdk/openai", AI_SDK_6, "openai"),
    "ai-sdk-6-open-responses": Client("ask_ai_sdk.mjs", "@ai-sdk/open-responses", AI_SDK_6, "open-responses"),
    "ai-sdk-7-openai": Client("ask_ai_sdk.mjs", "@ai-sdk/openai", AI_SDK_7, "openai"),
    "ai-sdk-7-open-responses": Client("ask_ai_sdk.mjs", "@ai-sdk/open-responses", AI_SDK_7, "open-responses"),
}
