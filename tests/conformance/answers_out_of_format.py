"""A model that breaks the format of its answers in every way models do, on a host that can enforce one."""

from __future__ import annotations

import json
from typing import Any

from tests.scripted import Step, call_answer, chunk, text_answer

Json = dict[str, Any]

REPORT: Json = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "sky": {"type": "string", "enum": ["clear", "clouded"]},
        "degrees": {"type": "integer"},
        "wind": {
            "type": "object",
            "properties": {"from": {"type": "string", "pattern": "^[NESW]{1,2}$"}},
            "required": ["from"],
            "additionalProperties": False,
        },
    },
    "required": ["city", "sky", "degrees", "wind"],
    "additionalProperties": False,
}
"""The schema of a report on the weather."""

VALID = '{"city": "Paris", "sky": "clear", "degrees": 21, "wind": {"from": "SW"}}'


def changed(**fields: Any) -> str:
    """The valid answer with other values; a field is left out if its value is None."""
    report = {**json.loads(VALID), **fields}
    return json.dumps({name: value for name, value in report.items() if value is not None})


FENCED = f"```json\n{VALID}\n```"

OUT_OF_FORMAT = {
    "a missing key": changed(sky=None),
    "an unknown key": changed(mood="good"),
    "another type": changed(city=5),
    "a number as text": changed(degrees="21"),
    "a fraction": changed(degrees=21.5),
    "null": VALID.replace("21", "null"),
    "none of the enumeration": changed(sky="blue"),
    "an error inside": changed(wind={"from": "the sea"}),
    "an array": f"[{VALID}]",
    "cut off": VALID[:-20],
    "words before it": f"Here is the report: {VALID}",
    "words behind it": f"{VALID}\n\nLet me know if you need more!",
    "two values": f"{VALID}\n{changed(city='Rome')}",
    "single quotes": VALID.replace('"', "'"),
    "a comma at the end": VALID[:-1] + ",}",
    "NaN": VALID.replace("21", "NaN"),
    "a comment": VALID[:-1] + "} // as of today",
    "no text": "",
    "white space": " \n\n ",
    "another language": "今日のパリは晴れで、気温は二十一度です。",
    "a call in words": '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>',
    "two fences": f"{FENCED}\nor\n{FENCED}",
    "a fence that is out of format too": "```json\n{}\n```",
    "a fence with something else": "```python\nprint(1)\n```",
}
"""Answers that are out of format, and that nothing can be made of."""

WRAPPED = {
    "a fence": FENCED,
    "a fence without a language": f"```\n{VALID}\n```\n",
    "a fence amid words": f"Sure!\n{FENCED}\nAnything else?",
    "a byte order mark": f"\ufeff{VALID}",
}
"""Answers that have the valid one in them."""


def obeys_when_constrained(text: str, *, commentary: bool = False) -> Any:
    """A script: the answer `text`, unless the host enforces a format. With `commentary` it is a call that is answered.

    The constrained answer ends with a line end, so that it can be distinguished from `VALID`.
    """

    def script(request: Json) -> list[Step]:
        if "response_format" in request:
            return [chunk(reasoning="Keep to it."), *text_answer(VALID[:30], VALID[30:] + "\n")]
        if commentary and request["messages"][-1]["role"] != "tool":
            return [chunk("Let me "), chunk("see."), *call_answer(("call_1", "get_weather", '{"city": "Paris"}'))]
        return [chunk(reasoning="Hm."), *text_answer(*(text[at : at + 9] for at in range(0, len(text), 9)))]

    return script
