"""The kinds of tool that there are: the one list."""

from __future__ import annotations

from collections.abc import Iterator

from responses_shim.core.tools.apply_patch import ApplyPatchKind
from responses_shim.core.tools.base import ToolKind
from responses_shim.core.tools.custom import CustomKind
from responses_shim.core.tools.function import FunctionKind
from responses_shim.core.tools.local_shell import LocalShellKind
from responses_shim.core.tools.shell import ShellKind
from responses_shim.core.tools.tool_search import ToolSearchKind


class ToolKinds:
    """Some kinds of tool, each found by the type of a declaration, of a call, or of an output."""

    def __init__(self, *kinds: ToolKind) -> None:
        self.by_tool_type = {kind.tool_type: kind for kind in kinds}
        self.by_call_type = {kind.call_type: kind for kind in kinds}
        self.by_output_type = {kind.output_type: kind for kind in kinds}

    def __iter__(self) -> Iterator[ToolKind]:
        return iter(self.by_tool_type.values())


FUNCTION = FunctionKind()
"""Also the kind of a call that is a call of no tool in the request."""

CUSTOM = CustomKind()

KINDS = ToolKinds(FUNCTION, CUSTOM, LocalShellKind(), ShellKind(), ApplyPatchKind(), ToolSearchKind())
