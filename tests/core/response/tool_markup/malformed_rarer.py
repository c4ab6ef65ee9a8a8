"""More answers with calls that are not quite as they should be: of families with markup that is nobody else's."""

from __future__ import annotations

from tests.core.response.tool_markup.case import TIME, WEATHER, Case

MARK = "]<]minimax[>["


def marked(text: str) -> str:
    """MiniMax M3's markup, with its mark before each tag."""
    return text.replace("§", MARK)


def city(before: str = "", after: str = "") -> str:
    return marked(f'{before}§<invoke name="get_weather">§<city>Paris§</city>§</invoke>{after}')


MINIMAX_M3 = [
    Case("no block", city(), [WEATHER]),
    Case("no end of the block, then text", city("§<tool_call>", "\nDone."), [WEATHER], "Done."),
    Case(
        "no end of the call",
        marked('§<tool_call>§<invoke name="get_weather">§<city>Paris§</city>§</tool_call>'),
        [WEATHER],
    ),
    Case(
        "no end of an element, nor of the call",
        marked('§<tool_call>§<invoke name="get_weather">§<city>Paris§<invoke name="get_time">§</invoke>§</tool_call>'),
        [WEATHER, TIME],
    ),
    Case(
        "no end of an element within another",
        marked('§<invoke name="get_weather">§<options>§<unit>C§</options>§</invoke>'),
        [("get_weather", '{"options": {"unit": "C"}}')],
    ),
    Case(
        "HTML, and talk about tags, in a value",
        marked('§<invoke name="write_file">§<content><b>a</b></invoke>§</content>§</invoke>'),
        [("write_file", '{"content": "<b>a</b></invoke>"}')],
    ),
    Case(
        "an array, an object, and what comes twice",
        marked(
            '§<invoke name="search_everything">§<query>x§</query>§<tags>§<item>a§</item>§<item>b§</item>§</tags>'
            "§</invoke>"
            '§<invoke name="get_weather">§<options>§<a>1§</a>§<a>2§</a>§<b>§<item>c§</item>§</b>§</options>§</invoke>'
        ),
        [
            ("search_everything", '{"query": "x", "tags": ["a", "b"]}'),
            ("get_weather", '{"options": {"a": ["1", "2"], "b": ["c"]}}'),
        ],
    ),
    Case(
        "an empty array, and an empty object",
        marked(
            '§<invoke name="search_everything">§<tags>§</tags>§</invoke>'
            '§<invoke name="get_weather">§<options>\n§</options>§</invoke>'
        ),
        [("search_everything", '{"tags": []}'), ("get_weather", '{"options": {}}')],
    ),
    Case(
        "an end of an element that did not begin, within one",
        marked('§<invoke name="get_weather">§<city>Par§</town>is§</city>§</invoke>'),
        [WEATHER],
    ),
    Case(
        "more elements in one another than anybody needs",
        marked('§<invoke name="get_weather">§<options>' + "§<a>" * 70 + "x" + "§</a>" * 70 + "§</options>§</invoke>"),
        [("get_weather", '{"options": ' + '{"a": ' * 63 + '"x"' + "}" * 64)],
    ),
    Case(
        "words between the elements, and a closing tag too many",
        marked('§<invoke name="get_weather">§<city>Paris§</city> and §</city>§<days>3§</days> so §</invoke>'),
        [("get_weather", '{"city": "Paris", "days": 3}')],
    ),
    Case(
        "the mark alone", f"The mark is {MARK}, or {MARK}<tool_call>.", [], f"The mark is {MARK}, or {MARK}<tool_call>."
    ),
    Case(
        "an element without an end",
        marked('§<invoke name="get_weather">§<city>Paris'),
        [],
        marked('§<invoke name="get_weather">§<city>Paris'),
    ),
    Case(
        "no argument is given for one",
        marked('§<invoke name="get_time"> now §</invoke>'),
        [],
        marked('§<invoke name="get_time"> now §</invoke>'),
    ),
]

STEP3 = [
    Case("a call alone", '<steptml:invoke name="get_time"></steptml:invoke>', [TIME]),
    Case(
        "no end of the call, nor of the block",
        '<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="get_weather">'
        '<steptml:parameter name="city">Paris</steptml:parameter>',
        [WEATHER],
    ),
    Case(
        "the tags of a call in a value",
        '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="write_file">'
        '<steptml:parameter name="content">a</steptml:invoke> b</steptml:parameter>'
        "</steptml:invoke><｜tool_call_end｜> ok",
        [("write_file", '{"content": "a</steptml:invoke> b"}')],
        "ok",
    ),
]

KIMI_K3 = [
    Case(
        "no end of the call, and a value that is JSON in a string",
        '<|open|>tools<|sep|><|open|>call tool="write_file"<|sep|>'
        '<|open|>argument key="content" type="string"<|sep|>[1]<|close|>argument<|sep|>'
        '<|open|>argument key="mode" type="number"<|sep|>7<|close|>argument<|sep|>'
        "<|close|>tools<|sep|>",
        [("write_file", '{"content": "[1]", "mode": 7}')],
    ),
    Case(
        "what ends a message behind it",
        '<|open|>tools<|sep|><|open|>call tool="get_time" index="1"<|sep|><|close|>call<|sep|><|close|>tools<|sep|>'
        "<|close|>message<|sep|>",
        [TIME],
    ),
]

HARMONY = [
    Case(
        "no constraint, no end",
        '<|channel|>commentary to=functions.get_weather<|message|>{"city": "Paris"}',
        [WEATHER],
    ),
    Case(
        "in the channel of thoughts",
        "<|start|>assistant<|channel|>analysis to=functions.get_weather <|constrain|>json<|message|>"
        '{"city": "Paris"}<|call|>',
        [WEATHER],
    ),
    Case(
        "to somebody else",
        "<|channel|>commentary to=python <|constrain|>json<|message|>{}",
        [],
        "<|channel|>commentary to=python <|constrain|>json<|message|>{}",
    ),
]

OTHERS = [
    Case(
        "Apertus, two functions in one object",
        '<|tools_prefix|>[{"get_weather": {"city": "Paris"}, "get_time": {}}]<|tools_suffix|>',
        [WEATHER, TIME],
    ),
    Case(
        "MiniCPM, single quotes", "<function name='get_weather'><param name='city'>Paris</param></function>", [WEATHER]
    ),
    Case(
        "MiniCPM, half a section of text",
        '<function name="write_file"><param name="content"><![CDATA[a</param></function>',
        [("write_file", '{"content": "<![CDATA[a"}')],
    ),
    Case(
        "dots, without a block", "<invoke name=get_weather><parameter name=city>Paris</parameter></invoke>", [WEATHER]
    ),
    Case("Phi 4 mini, not a call", "functools[x] is a module.", [], "functools[x] is a module."),
    Case(
        "OLMo 3, one on each line",
        "<function_calls>\nget_weather(city='Paris')\n\nget_time()\n</function_calls>",
        [WEATHER, TIME],
    ),
]

RARER = {"MiniMax M3": MINIMAX_M3, "Step 3": STEP3, "Kimi K3": KIMI_K3, "Harmony": HARMONY, "others": OTHERS}
