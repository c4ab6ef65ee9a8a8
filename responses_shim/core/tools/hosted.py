"""Tools that a server runs itself (web search, MCP, …). This server runs none of them.

A declaration of one is left out and reported, and so is any other that no kind is known for, unless its type is in
`REFUSED_TOOLS`. Items that such tools left in a conversation are passed over and reported, or refused.
"""

from __future__ import annotations

REFUSED_TOOLS = {
    "mcp": "tools of type 'mcp' are not run here; offer functions instead.",
}
"""Types of declarations that are refused, and what to do instead: leaving them out would change the answer."""

SKIPPED_ITEMS = frozenset(
    {
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "file_search_call",
        "image_generation_call",
        "program",
        "program_output",
        "web_search_call",
    }
)
"""Types of items with nothing in them that a model here could use."""

REFUSED_ITEMS = dict.fromkeys(
    ("mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools"), "MCP tools are not run here."
)
"""Types of items that are refused, and why."""
