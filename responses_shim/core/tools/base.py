r"""What a kind of tool is: one class that translates its declaration, its calls and their outputs.

The Responses API has many kinds of tool, chat completions has one, the function. So a tool of any kind is offered to
the host as a function, and its kind translates between the two. For `shell`, what each method takes and gives:

    read_declaration   {"type": "shell"}                               →  {"name": "shell", "parameters": {…}}
    new_call           the host's '{"comma', 'nds": ["ls"]}'           →  {"type": "shell_call", "action": {…}}
    past_arguments     {"type": "shell_call", "action": {…}}           →  '{"commands": ["ls"]}'
    read_output        {"type": "shell_call_output", "output": [{…}]}  →  "a.txt\n[exit code 0]"

A new kind is a new file with such a class, and its entry in `kinds.KINDS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from msgspec import UNSET, Struct, UnsetType

from responses_shim.core.items.base import ItemBuilder, Numbers, encode_text
from responses_shim.core.tools.arguments import parse_arguments
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.json_end import JSONEnd
from responses_shim.core.wire.large_json import Text
from responses_shim.core.wire.responses import ItemStatus
from responses_shim.core.wire.validation import missing, required_string

Tool = dict[str, Any]
"""The declaration of a tool, as it is in a request."""
Item = dict[str, Any]
"""An input item: here a past call, or the output of one."""
Function = dict[str, Any]
"""A function as chat completions declares it: `name`, `description`, `parameters`, `strict`."""


# Calls while the model writes them -----------------------------------------------------------------------------------


class CallBuilder(ItemBuilder):
    """The item of one call, built from its arguments as the host sends them.

    `call_id` is the host's, or was made in its place. `prefix` is that of the item's own id.
    """

    prefix = "fc"
    unwraps = False
    """Whether the arguments are a JSON string around the text.

    Then only a piece without escapes or quotes is text as it is.
    """

    def __init__(self, id: str, index: int, numbers: Numbers, call_id: str) -> None:
        super().__init__(id, index, numbers)
        self.call_id = call_id
        self._end = JSONEnd()
        self._seen = 0  # how many bytes of the text `_end` has seen

    @property
    def complete(self) -> bool:
        """Whether the arguments are a complete JSON value: what comes next is no more of them.

        The cost is that of looking at what has come since `follow` was last called.
        """
        self.follow()
        return self._end.complete

    def follow(self) -> None:
        """Look for the end of the arguments in what has been appended to the text since the last time."""
        self._end.feed(self.text[self._seen :].decode("utf-8", "surrogatepass"))
        self._seen = len(self.text)

    def add(self, text: str) -> None:
        super().add(text)
        self.follow()

    def repeated_by(self, arguments: str) -> bool:
        """Whether `arguments` are those of the complete call, which the host then only writes once more.

        The cost is that of looking at `arguments`.
        """
        return encode_text(arguments) == self.text

    @abstractmethod
    def add_arguments(self, delta: str, events: list[Event]) -> None:
        """Take the next piece of the arguments, which are the text of a JSON object, and append its events."""
        ...


class NamedCallBuilder(CallBuilder):
    """A call of a tool whose name the client has chosen, perhaps within a namespace."""

    def __init__(
        self, id: str, index: int, numbers: Numbers, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, numbers, call_id)
        self._name = name
        self._namespace = namespace


class ParsedCallBuilder(CallBuilder):
    """A call whose item is made of its parsed arguments, once they are complete.

    A call that was cut off has no arguments: half a command is not to be carried out.
    """

    def __init__(self, id: str, index: int, numbers: Numbers, call_id: str) -> None:
        super().__init__(id, index, numbers, call_id)
        self._parsed: dict[str, Any] = {}

    def add_arguments(self, delta: str, events: list[Event]) -> None:
        self.add(delta)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        parsed = parse_arguments(self.value)
        if isinstance(parsed, dict):
            self._parsed = parsed
        elif isinstance(parsed, (str, list)) and status == "completed":
            self._parsed = self.from_bare(parsed)

    def from_bare(self, value: str | list[Any]) -> dict[str, Any]:
        """The arguments that are meant where a model wrote a string or an array in place of an object."""
        return {}


# Kinds ---------------------------------------------------------------------------------------------------------------


class ToolIdentity(Struct, frozen=True):
    """What the client knows a tool by: its kind, its name, and its namespace if it is in one."""

    kind: ToolKind
    name: str
    namespace: str | None = None


class Declaration(Struct):
    """A declaration that has been read and checked.

    - `function`: the chat function that the tool is offered as; it has the tool's own name
    - `offered`: False for a tool that the model cannot call here, because nobody here runs it
    - `deferred`: the tool is to be found by a tool search before it is offered
    - `searches`: this is the search that finds deferred tools
    - `mapped`: the fields of the declaration that the function has in another form
    """

    function: Function
    offered: bool = True
    deferred: bool = False
    searches: bool = False
    mapped: tuple[str, ...] = ()


class ToolSummaries(Protocol):
    """What an output may have to know of the request's tools: the names that the host knows them by."""

    def summaries(self, tool: Tool) -> list[dict[str, Any]]:
        """`name` and `description` of the function that a tool is offered as; for a namespace, of all its tools."""
        ...


class ToolKind(ABC):
    """One kind of tool. Each is known by three types: those of its declarations, of its calls, and of their outputs."""

    tool_type: ClassVar[str]
    call_type: ClassVar[str]
    output_type: ClassVar[str]
    builder: ClassVar[type[CallBuilder]]
    writes_arguments: ClassVar[bool] = True
    """Whether `past_arguments` writes the JSON object itself; else it is what the model wrote, which may be none."""

    @abstractmethod
    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        """The chat function for a declaration. Raises InvalidRequest that names the wrong field below `path`."""
        ...

    @abstractmethod
    def past_arguments(self, item: Item, path: str) -> Text:
        """The arguments that the function was called with.

        Raises InvalidRequest that names a wrong field.
        """
        ...

    @abstractmethod
    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> Any:
        """What the model is shown of an output: a text, or content parts, not checked yet.

        Raises InvalidRequest that names a wrong field.
        """
        ...

    def posted_output(self, output: Any, status: str | None) -> Item:
        """The fields of an output item for an output that a client posts: a text, text parts, or what `output` holds.

        `status` is for a kind whose output has one. Nothing is checked: `read_output` does that.
        """
        return {"output": text_of_parts(output)}

    def new_call(self, identity: ToolIdentity, id: str, index: int, numbers: Numbers, call_id: str) -> CallBuilder:
        """The builder for a call that the model has begun."""
        return self.builder(id, index, numbers, call_id)

    def identify(self, fields: dict[str, Any], path: str) -> ToolIdentity:
        """Which tool of this kind a past call, or a `tool_choice`, is about.

        Raises InvalidRequest that names a wrong field.
        """
        return ToolIdentity(self, self.tool_type)

    def past_call_id(self, item: Item, path: str) -> str:
        """The id by which a past call and its output belong together. Raises InvalidRequest if it is missing."""
        return required_string(item, "call_id", path)

    def echo(self, tool: Tool) -> Tool:
        """The declaration as the response object repeats it."""
        return tool


class NamedToolKind(ToolKind):
    """A kind of which a request may declare many tools, each with a name, and with a namespace if it is in one."""

    builder: ClassVar[type[NamedCallBuilder]]

    def new_call(self, identity: ToolIdentity, id: str, index: int, numbers: Numbers, call_id: str) -> CallBuilder:
        return self.builder(id, index, numbers, call_id, identity.name, identity.namespace or UNSET)

    def identify(self, fields: dict[str, Any], path: str) -> ToolIdentity:
        name = required_string(fields, "name", path)
        if fields.get("namespace") is None:
            return ToolIdentity(self, name)
        return ToolIdentity(self, name, required_string(fields, "namespace", path) or None)

    def posted_output(self, output: Any, status: str | None) -> Item:
        """The output may have parts, which are input here, though clients may have them as the output of something."""
        if isinstance(output, list):
            output = [_as_input(part) for part in output]
        return {"output": output}

    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> Any:
        if item.get("output") is None:
            raise missing(f"{path}.output")
        return item["output"]


class BuiltInToolKind(ToolKind):
    """A tool that the API itself defines and the client runs: its declaration is its type, the rest is in `function`.

    It is strict, for vLLM lets a model write anything into the arguments of a function that is not.
    """

    function: ClassVar[Function]

    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        return Declaration({**self.function, "strict": True}, offered=not for_programs_only(tool))


def text_of_parts(output: Any) -> Any:
    """The text of a list of text parts, one to a line; anything else as it is."""
    if not isinstance(output, list) or not output:
        return output
    texts = [part["text"] for part in output if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return "\n".join(texts) if len(texts) == len(output) else output


def _as_input(part: Any) -> Any:
    is_output = isinstance(part, dict) and part.get("type") == "output_text"
    return {"type": "input_text", "text": part.get("text")} if is_output else part


def for_programs_only(tool: Tool) -> bool:
    """Whether only programs that the model writes may call a tool (`allowed_callers`). They are not run here."""
    callers = tool.get("allowed_callers")
    return bool(callers) and isinstance(callers, list) and "direct" not in callers


def object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a function's arguments with `"type": "object"` at its root, where hosts look for it.

    It is the same one if it has that already, or another type, which would be a mistake that the host may judge. A
    union (`anyOf`, `oneOf`, `allOf`) or a reference stays beside the type: arguments are an object in any case.
    """
    kind = schema.get("type")
    if kind is not None and not (isinstance(kind, list) and "object" in kind):
        return schema
    rest = {key: value for key, value in schema.items() if key != "type"}
    return {"type": "object", **(rest or {"properties": {}})}


def flattened(tool: Tool) -> Tool:
    """A declaration, or the choice of a tool, in the form of this API.

    Clients nest it under its type out of habit, as chat completions does: `{"type": "function", "function": {…}}`.
    """
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom", "allowed_tools") else None
    return {**inner, "type": kind} if isinstance(inner, dict) else tool
