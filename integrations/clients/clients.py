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
    "the commands in integrations/clients/README.md",
)
NEWER_PYTHON_CLIENTS = Installation("NEWER_PYTHON_CLIENTS", PYTHON_CLIENTS.command)
OPENAI_NODE = Installation(
    "OPENAI_NODE",
    "npm install --prefix ~/openai-node openai@7.55.0 @openai/agents@0.20.0",
)
LANGCHAIN_JS = Installation(
    "LANGCHAIN_JS",
    "npm install --prefix ~/langchain-js @langchain/openai@1.6.0 @langchain/core@1.4.0 zod@4.6.7",
)
CODING_AGENTS = Installation(
    "CODING_AGENTS",
    "npm install --prefix ~/coding-agents opencode-ai@1.18.33 @qwen-code/qwen-code@0.24.4",
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
    """A client: its script in this folder, and the package that it needs of an installation.

    `provider` is for the AI SDK, which has two. `streams` is false for a client that never asks for a stream.
    """

    script: str
    package: str
    installation: Installation
    provider: str = ""
    streams: bool = True

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
    "litellm": Client("ask_litellm.py", "litellm", PYTHON_CLIENTS),
    "dspy": Client("ask_dspy.py", "dspy", PYTHON_CLIENTS, streams=False),
    "strands": Client("ask_strands.py", "strands", PYTHON_CLIENTS),
    "agent-framework": Client("ask_agent_framework.py", "agent_framework", PYTHON_CLIENTS),
    "semantic-kernel": Client("ask_semantic_kernel.py", "semantic_kernel", PYTHON_CLIENTS),
    "google-adk": Client("ask_google_adk.py", "google.adk", NEWER_PYTHON_CLIENTS),
    "chatlas": Client("ask_chatlas.py", "chatlas", NEWER_PYTHON_CLIENTS),
    "inspect-ai": Client("ask_inspect_ai.py", "inspect_ai", NEWER_PYTHON_CLIENTS, streams=False),
    "openai-node": Client("ask_openai.mjs", "openai", OPENAI_NODE),
    "openai-agents-js": Client("ask_openai_agents.mjs", "@openai/agents", OPENAI_NODE),
    "langchain-js": Client("ask_langchain.mjs", "@langchain/openai", LANGCHAIN_JS),
    "ai-sdk-6-openai": Client("ask_ai_sdk.mjs", "@ai-sdk/openai", AI_SDK_6, "openai"),
    "ai-sdk-6-open-responses": Client("ask_ai_sdk.mjs", "@ai-sdk/open-responses", AI_SDK_6, "open-responses"),
    "ai-sdk-7-openai": Client("ask_ai_sdk.mjs", "@ai-sdk/openai", AI_SDK_7, "openai"),
    "ai-sdk-7-open-responses": Client("ask_ai_sdk.mjs", "@ai-sdk/open-responses", AI_SDK_7, "open-responses"),
}
