"""Answers with calls that are not quite as they should be, as people report them of models, and what is made of them.

The threads are named where they are public. The tools are those of `reading.SCHEMAS`.
"""

from __future__ import annotations

from tests.core.response.tool_markup.case import TIME, WEATHER, Case
from tests.core.response.tool_markup.malformed_rarer import RARER

HERMES = [
    Case(
        "a closing tag in a string (vllm#45167)",
        '<tool_call>\n{"name": "write_file", "arguments": {"content": "echo </tool_call> test"}}\n</tool_call>',
        [("write_file", '{"content": "echo </tool_call> test"}')],
    ),
    Case(
        "an opening tag in a string",
        '<tool_call>{"name": "write_file", "arguments": {"content": "<tool_call>{}</tool_call>"}}</tool_call> ok',
        [("write_file", '{"content": "<tool_call>{}</tool_call>"}')],
        "ok",
    ),
    Case("no closing tag", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}', [WEATHER]),
    Case(
        "no closing tag between calls",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n<tool_call>\n{"name": "get_time"}',
        [WEATHER, TIME],
    ),
    Case(
        "no closing tag, then text",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}\nDone.',
        [WEATHER],
        "Done.",
    ),
    Case("a name only (frontend-crates#63)", '<tool_call>{"name": "get_time"}</tool_call>', [TIME]),
    Case(
        "closing tags without end (dynamo#10833)",
        '<tool_call>{"name": "get_time", "arguments": {}}</tool_call></tool_call></tool_call>',
        [TIME],
    ),
    Case("the opening tag twice", '<tool_call>\n<tool_call>\n{"name": "get_time"}\n</tool_call>', [TIME]),
    Case(
        "no opening tag",
        '{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
        [WEATHER],
    ),
    Case(
        "an opening tag for each object of a list",
        '<tool_call>[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}}]'
        "</tool_call>",
        [WEATHER, TIME],
    ),
    Case(
        "arguments as a string",
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
        [WEATHER],
    ),
    Case(
        "parameters for arguments",
        '<tool_call>{"name": "get_weather", "parameters": {"city": "Paris"}}</tool_call>',
        [WEATHER],
    ),
    Case(
        "the form of OpenAI's API",
        '<tool_call>{"id": "call_1", "type": "function", "function": {"name": "get_weather", '
        '"arguments": "{\\"city\\": \\"Paris\\"}"}}</tool_call>',
        [WEATHER],
    ),
    Case(
        "the arguments before the name",
        '<tool_call>{"arguments": {"city": "Paris"}, "name": "get_weather"}</tool_call>',
        [WEATHER],
    ),
    Case(
        "arguments that are null or a list",
        '<tool_call>{"name": "get_time", "arguments": null}</tool_call>\n'
        '<tool_call>{"name": "get_time", "arguments": []}</tool_call>'
        '<tool_call>{"name": "get_time", "arguments": ""}</tool_call>',
        [TIME, TIME, TIME],
    ),
    Case(
        "the last brace is missing",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}\n</tool_call>',
        [WEATHER],
    ),
    Case(
        "two braces are missing",
        '<tool_call>\n{"name": "get_weather", "arguments": {"options": {"a": [1, 2\n</tool_call>after',
        [("get_weather", '{"options": {"a": [1, 2\n]}}')],
        "after",
    ),
    Case(
        "a brace too many",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}}\n</tool_call>ok',
        [WEATHER],
        "ok",
    ),
    Case(
        "a list closed by a brace",
        '<tool_call>{"name": "get_weather", "arguments": {"options": {"a": [1, {"b": 2}}}}</tool_call>',
        [("get_weather", '{"options": {"a": [1, {"b": 2}]}}')],
    ),
    Case(
        "an object closed by a bracket",
        '<tool_call>{"name": "get_weather", "arguments": {"days": 1]</tool_call>',
        [("get_weather", '{"days": 1}')],
    ),
    Case(
        "numbers that JSON does not have",
        '<tool_call>{"name": "get_weather", "arguments": {"days": NaN}}</tool_call>',
        [("get_weather", '{"days": null}')],
    ),
    Case(
        "line ends and tabs in strings",
        '<tool_call>{"name": "write_file", "arguments": {"content": "a\n\tb\\n"}}</tool_call>',
        [("write_file", '{"content": "a\\n\\tb\\n"}')],
    ),
    Case(
        "escapes that JSON does not have",
        '<tool_call>{"name": "write_file", "arguments": {"content": "\\d+ it\\\'s \\\\n \\\n"}}</tool_call>',
        [("write_file", '{"content": "\\\\d+ it\'s \\\\n \\\\\\n"}')],
    ),
    Case(
        "commas before the end",
        '<tool_call>{"name": "get_weather", "arguments": {"options": {"a": [1, 2,],}, "city": "Paris",},}</tool_call>',
        [("get_weather", '{"options": {"a": [1, 2]}, "city": "Paris"}')],
    ),
    Case(
        "words of Python's",
        '<tool_call>{"name": "get_weather", "arguments": {"detailed": True, "options": {"a": [None, False]}}}'
        "</tool_call>",
        [("get_weather", '{"detailed": true, "options": {"a": [null, false]}}')],
    ),
    Case(
        "a Python dict (vllm#5649)",
        "<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Paris', 'detailed': True}}</tool_call>",
        [("get_weather", '{"city": "Paris", "detailed": true}')],
    ),
    Case(
        "arguments as a Python dict",
        '<tool_call>{"name": "get_weather", "arguments": {\'city\': \'Saint-Denis, "93"\', \'days\': 3,}}</tool_call>',
        [("get_weather", '{"city": "Saint-Denis, \\"93\\"", "days": 3}')],
    ),
    Case(
        "white space everywhere",
        '  \n<tool_call>  \n\n {  "name" :"get_time" , "arguments":  { } }\n\n </tool_call>  \n',
        [("get_time", "{ }")],
        "  \n",
    ),
    Case(
        "calls between texts",
        'First:\n<tool_call>{"name": "get_time", "arguments": {}}</tool_call>\nThen:\n'
        '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>',
        [TIME, TIME],
        "First:\nThen:\n",
    ),
    Case(
        "keys that nobody knows",
        '<tool_call>{"thought": "Hm: \\"}\\"", "n": 1, "x": [{}], "name": "get_time", "arguments": {}, "y": 2}'
        "</tool_call>",
        [TIME],
    ),
    Case(
        "an unknown call behind a known one",
        '<tool_call>{"name": "get_time", "arguments": {}}</tool_call><tool_call>{"name": "nope"}</tool_call>',
        [TIME],
        '<tool_call>{"name": "nope"}</tool_call>',
    ),
    Case(
        "the tags of Nemotron 2",
        '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</TOOLCALL>',
        [WEATHER],
    ),
    Case(
        "the tokens of Command A",
        '<|START_ACTION|>[\n  {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}}\n]'
        "<|END_ACTION|>",
        [WEATHER],
    ),
    Case(
        "a token that ends the turn",
        '<tool_call>{"name": "get_time", "arguments": {}}</tool_call><|im_end|>',
        [TIME],
    ),
]

QWEN3_CODER = [
    Case(
        "no opening tag, and an orphan closing one (ollama#17742)",
        "I will.\n\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        [WEATHER],
        "I will.\n\n",
    ),
    Case(
        "no </parameter> before the next (vllm#37829)",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nDallas\n<parameter=days>\n3\n</parameter>\n</function>\n"
        "</tool_call>",
        [("get_weather", '{"city": "Dallas", "days": 3}')],
    ),
    Case(
        "no </parameter> before </function> (ollama#17276)",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</function>\n</tool_call>",
        [WEATHER],
    ),
    Case(
        "no </function>",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</tool_call>\nok",
        [WEATHER],
        "ok",
    ),
    Case(
        "no closing tags at all (ollama#17914)",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n",
        [WEATHER],
    ),
    Case(
        "no closing tags between calls",
        "<tool_call>\n<function=get_time>\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n"
        "<function=get_time></function>",
        [TIME, WEATHER, TIME],
    ),
    Case(
        "several calls in one block",
        "<tool_call>\n<function=get_time>\n</function>\n<function=get_weather>\n<parameter=city>Paris</parameter>\n"
        "</function>\n</tool_call>",
        [TIME, WEATHER],
    ),
    Case(
        "a value that has the markup in it",
        "<tool_call>\n<function=write_file>\n<parameter=content>\n"
        "Write </parameter>, then </function> and </tool_call>\nto end <parameter=x> it.\n</parameter>\n"
        "<parameter=path>\na\n</parameter>\n</function>\n</tool_call>",
        [
            (
                "write_file",
                '{"content": "Write </parameter>, then </function> and </tool_call>\\nto end <parameter=x> it.", '
                '"path": "a"}',
            )
        ],
    ),
    Case(
        "a value that is a call",
        "<function=write_file><parameter=content>\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n"
        "</parameter>\n</function>\n</tool_call>\n</parameter>\n</function>",
        [
            (
                "write_file",
                '{"content": "<tool_call>\\n<function=get_weather>\\n<parameter=city>\\nParis\\n</parameter>\\n'
                '</function>\\n</tool_call>"}',
            )
        ],
    ),
    Case(
        "an opening tag in a value that is never closed",
        "<tool_call><function=write_file><parameter=content>Begin with <function=f> here</parameter></function>"
        "</tool_call> ok",
        [("write_file", '{"content": "Begin with <function=f> here"}')],
        "ok",
    ),
    Case(
        "an opening tag and a closing one in a value",
        "<tool_call><function=write_file><parameter=content>From <tool_call> to </parameter>, all of it</parameter>"
        "</function></tool_call>",
        [("write_file", '{"content": "From <tool_call> to </parameter>, all of it"}')],
    ),
    Case(
        "another parameter's opening tag in a call in a value",
        "<function=write_file><parameter=content><function=f><parameter=path>x</function></parameter></function>",
        [("write_file", '{"content": "<function=f><parameter=path>x</function>"}')],
    ),
    Case(
        "calls in one another in a value",
        "<function=write_file><parameter=content><function=f><function=g></parameter></function></function>."
        "</parameter></function>",
        [("write_file", '{"content": "<function=f><function=g></parameter></function></function>."}')],
    ),
    Case(
        "a parameter twice",
        "<function=get_weather><parameter=city>Paris</parameter><parameter=city>Rome</parameter></function>",
        [WEATHER],
    ),
    Case(
        "values that are not of their type (sglang#36688)",
        "<function=get_weather><parameter=days>three</parameter><parameter=detailed>True</parameter>"
        "<parameter=options>{'a': 1}</parameter><parameter=note>null</parameter><parameter=city>12</parameter>"
        "<parameter=more>5</parameter></function>",
        [
            (
                "get_weather",
                '{"days": "three", "detailed": true, "options": {"a": 1}, "note": null, "city": "12", "more": "5"}',
            )
        ],
    ),
    Case(
        "malformed parameters are dropped (vllm#55497)",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=\n7\n</parameter>\n"
        "</function>\n</tool_call>",
        [WEATHER],
    ),
    Case("JSON in it (Llama 3.1)", '<function=get_weather>{"city": "Paris"}</function>', [WEATHER]),
    Case(
        "in quotes",
        '<function="get_weather"><parameter="city">Paris</parameter></function>',
        [WEATHER],
    ),
    Case(
        "text in place of the end",
        "<function=get_weather><parameter=city>Paris</parameter>\nThat was the call.",
        [WEATHER],
        "That was the call.",
    ),
    Case(
        "a function that is not known, without the opening tag",
        "<function=nope>\n<parameter=a>\n1\n</parameter>\n</function>",
        [],
        "<function=nope>\n<parameter=a>\n1\n</parameter>\n</function>",
    ),
    Case(
        "an empty value",
        "<function=write_file><parameter=content>\n</parameter></function>",
        [("write_file", '{"content": ""}')],
    ),
]

GLM = [
    Case(
        "no <arg_key> (vllm#47190)",
        "<tool_call>get_weathercity</arg_key><arg_value>Paris</arg_value></tool_call>",
        [WEATHER],
    ),
    Case(
        "no <arg_key> after a space (vllm#47190)",
        "<tool_call>get_weather city</arg_key><arg_value>Paris</arg_value></tool_call>",
        [WEATHER],
    ),
    Case(
        "no <arg_value> (vllm#49248)",
        "<tool_call>get_weather<arg_key>city</arg_key>Paris</arg_value></tool_call>",
        [WEATHER],
    ),
    Case(
        "</arg_key> twice (vllm#54971)",
        "<tool_call>get_weather<arg_key>city</arg_key></arg_key><arg_value>Paris</arg_value></tool_call>",
        [WEATHER],
    ),
    Case(
        "no </arg_value> (ollama#14656)",
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</tool_call>",
        [WEATHER],
    ),
    Case(
        "</arg_value> in a value (smg#1942)",
        "<tool_call>write_file<arg_key>content</arg_key><arg_value>use </arg_value> in docs</arg_value>"
        "<arg_key>path</arg_key><arg_value>a</arg_value></tool_call>",
        [("write_file", '{"content": "use </arg_value> in docs", "path": "a"}')],
    ),
    Case(
        "a value that ends in < (sglang#24147)",
        "<tool_call>write_file<arg_key>content</arg_key><arg_value>.<</arg_value></tool_call>",
        [("write_file", '{"content": ".<"}')],
    ),
    Case("no arguments, and a line end", "<tool_call>get_time\n</tool_call>", [TIME]),
    Case(
        "Hunyuan's separator",
        "<tool_calls><tool_call>get_weather<tool_sep><arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>"
        "</tool_calls>",
        [WEATHER],
    ),
    Case(
        "a function that begins with no known name",
        "<tool_call>nopecity</arg_key><arg_value>Paris</arg_value></tool_call>",
        [],
        "<tool_call>nopecity</arg_key><arg_value>Paris</arg_value></tool_call>",
    ),
]

KIMI_K2 = [
    Case(
        "no section (unsloth#5624)",
        '<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>',
        [WEATHER],
    ),
    Case(
        "a section without its end",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "Paris"}',
        [WEATHER],
    ),
    Case(
        "the singular of the section, and spaces (llama.cpp#17376, llxprt-code#749)",
        "<|tool_call_section_begin|> <|tool_call_begin|> functions.get_weather:0 <|tool_call_argument_begin|> "
        '{"city": "Paris"} <|tool_call_end|> <|tool_call_section_end|>',
        [WEATHER],
    ),
    Case(
        "an id that a client has changed (exo#2281)",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions_get_weather_1<|tool_call_argument_begin|>"
        '{"city": "Paris"}<|tool_call_end|><|tool_calls_section_end|>',
        [WEATHER],
    ),
    Case(
        "a name alone",
        '<|tool_call_begin|>get_weather<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>',
        [WEATHER],
    ),
    Case(
        "a Python dict (mlxcel#783)",
        "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{'city': 'Paris'}<|tool_call_end|>",
        [WEATHER],
    ),
    Case(
        "no arguments",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_time:0<|tool_call_argument_begin|>"
        "<|tool_call_end|><|tool_calls_section_end|>",
        [TIME],
    ),
]

DEEPSEEK = [
    Case(
        "no opening token of the block",
        '<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜>',
        [WEATHER],
    ),
    Case(
        "no closing tokens",
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```',
        [WEATHER],
    ),
    Case(
        "a bare invoke (sglang#40236)",
        '<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>",
        [WEATHER],
    ),
    Case(
        "the block of another version, and never closed (sglang#40236)",
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        [WEATHER],
    ),
    Case(
        "two bars (GenericAgent#804)",
        '<｜｜DSML｜｜tool_calls>\n<｜｜DSML｜｜invoke name="get_weather">\n'
        '<｜｜DSML｜｜parameter name="city" string="true">Paris</｜｜DSML｜｜parameter>\n'
        "</｜｜DSML｜｜invoke>\n</｜｜DSML｜｜tool_calls>",
        [WEATHER],
    ),
    Case(
        "no marks (opencode#34676)",
        '<invoke name="get_weather">\n<parameter name="city" string="true">Paris</parameter>\n</invoke>',
        [WEATHER],
    ),
    Case(
        "string=false",
        '<｜DSML｜invoke name="get_weather"><｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>'
        '<｜DSML｜parameter name="city" string="false">Paris</｜DSML｜parameter></｜DSML｜invoke>',
        [("get_weather", '{"days": 3, "city": "Paris"}')],
    ),
    Case(
        "an invoke without parameters",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_time">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        [TIME],
    ),
]

MINIMAX = [
    Case(
        "</parameter> in a value (vllm#44060)",
        '<minimax:tool_call>\n<invoke name="write_file">\n<parameter name="content"><parameter>\n  <hello></hello>\n'
        '</parameter></parameter>\n<parameter name="path">test.xml</parameter>\n</invoke>\n</minimax:tool_call>',
        [
            (
                "write_file",
                '{"content": "<parameter>\\n  <hello></hello>\\n</parameter>", "path": "test.xml"}',
            )
        ],
        form="minimax",
    ),
    Case(
        "the tags of Claude",
        '<function_calls>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n'
        "</function_calls>",
        [WEATHER],
    ),
    Case(
        "no closing tag, then text",
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\nok',
        [WEATHER],
        "ok",
    ),
    Case(
        "null where a string may be (anyOf)",
        '<minimax:tool_call><invoke name="get_weather"><parameter name="note">null</parameter></invoke>'
        "</minimax:tool_call>",
        [("get_weather", '{"note": null}')],
    ),
]

GEMMA4 = [
    Case(
        "quotes in a string (vllm#48678)",
        '<|tool_call>call:write_file{content:<|"|>x = sql(<|"|><|"|><|"|>SELECT a, b<|"|><|"|><|"|>).df()<|"|>,'
        'path:<|"|>a<|"|>}<tool_call|>',
        [("write_file", '{"content": "x = sql(\\"\\"\\"SELECT a, b\\"\\"\\").df()", "path": "a"}')],
    ),
    Case(
        "no comma between arguments (yzma#243)",
        '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>days:90}<tool_call|>',
        [("get_weather", '{"city": "Paris", "days": 90}')],
    ),
    Case(
        "JSON in it (omlx#1854)",
        '<|tool_call>call:get_weather{"city": "has } brace"}<tool_call|>',
        [("get_weather", '{"city": "has } brace"}')],
    ),
    Case(
        "nested (mlx-vlm#916)",
        '<|tool_call>call:search_everything{query:<|"|>a<|"|>,tags:[{new:<|"|>orange<|"|>,old:<|"|>apple<|"|>}]}<tool_call|>',
        [("search_everything", '{"query": "a", "tags": [{"new": "orange", "old": "apple"}]}')],
    ),
    Case("no closing token", '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}', [WEATHER]),
    Case(
        "braces that do not end",
        '<|tool_call>call:get_weather{city:<|"|>Paris<tool_call|>',
        [],
        '<|tool_call>call:get_weather{city:<|"|>Paris<tool_call|>',
    ),
]

MISTRAL = [
    Case(
        "several calls, then text (mlx-lm#1448)",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}\n\nLet me look.',
        [WEATHER, TIME],
        "Let me look.",
    ),
    Case(
        "a list with ids (mlx-lm#1643)",
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abcdefghi"}]',
        [WEATHER],
    ),
    Case(
        "single quotes (vllm#5649)",
        "[TOOL_CALLS][{'name': 'get_weather', 'arguments': {'city': 'Paris'}}]$$ And so on.",
        [WEATHER],
        "$$ And so on.",
    ),
    Case(
        "a closing marker (frontend-crates#60)",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[/TOOL_CALLS]',
        [WEATHER],
    ),
    Case(
        "the marker in a string",
        '[TOOL_CALLS]write_file[ARGS]{"content": "[TOOL_CALLS]x[ARGS]{}"}',
        [("write_file", '{"content": "[TOOL_CALLS]x[ARGS]{}"}')],
    ),
    Case("the marker alone", "[TOOL_CALLS] is a token.", [], "[TOOL_CALLS] is a token."),
]

LLAMA = [
    Case(
        "separated by a line end (vllm#49923)",
        '{"name": "get_weather", "parameters": {"city": "Paris"}}\n{"name": "get_time", "parameters": {}}',
        [WEATHER, TIME],
        form="llama3_json",
    ),
    Case(
        "separated by a semicolon without space (dynamo#9536)",
        '<|python_tag|>{"name":"get_weather","arguments":{"city":"Paris"}};{"name":"get_time","arguments":{}}',
        [("get_weather", '{"city":"Paris"}'), TIME],
        form="llama3_json",
    ),
    Case(
        "nested parameters (Rapid-MLX#921)",
        '<|python_tag|>{"name": "get_weather", "parameters": {"options": {"a": {"b": "}"}}}}<|eom_id|>',
        [("get_weather", '{"options": {"a": {"b": "}"}}}')],
    ),
    Case(
        "a list",
        '[{"name": "get_weather", "parameters": {"city": "Paris"}}]',
        [WEATHER],
        form="llama3_json",
    ),
    Case("a built-in tool's form", '<|python_tag|>get_weather.call(city="Paris")', [WEATHER], form="llama3_json"),
    Case(
        "prose with braces behind a call (vllm#49923)",
        '{"name": "get_weather", "parameters": {"city": "Paris"}} I used {searchTool} for this',
        [WEATHER],
        "I used {searchTool} for this",
        form="llama3_json",
    ),
]

PYTHONIC = [
    Case(
        "lists in lists (vllm#30722)",
        '[search_everything(query="a", tags=["x (1)", ["y]", {"z": None}]])]',
        [("search_everything", '{"query": "a", "tags": ["x (1)", ["y]", {"z": null}]]}')],
        form="pythonic",
    ),
    Case(
        "commas in single quotes (mlx-lm#1785)",
        "<|tool_call_start|>[write_file(path='/tmp/hello.py', content='# Hello, World\\nprint(\"Hello, World!\")')]"
        "<|tool_call_end|>",
        [("write_file", '{"path": "/tmp/hello.py", "content": "# Hello, World\\nprint(\\"Hello, World!\\")"}')],
    ),
    Case(
        ")] in a string (mlx-swift-lm#493)",
        '[get_weather(options={"x": "a)]b"})]',
        [("get_weather", '{"options": {"x": "a)]b"}}')],
        form="pythonic",
    ),
    Case(
        "triple quotes, positions and escapes",
        '[write_file("a", """x\n"y\\\'""", mode=-1), get_weather(\'\\u0041\\x42\', 1.5)]',
        [
            ("write_file", '{"path": "a", "content": "x\\n\\"y\'", "mode": -1}'),
            ("get_weather", '{"city": "AB", "days": 1.5}'),
        ],
        form="pythonic",
    ),
    Case("the list never ends", '[get_weather(city="Paris")', [], '[get_weather(city="Paris")', form="pythonic"),
    Case("an unknown function among them", "[get_time(), nope()]", [], "[get_time(), nope()]", form="pythonic"),
    Case("no calls in it", "<|python_start|>[]<|python_end|>", [], "<|python_start|>[]<|python_end|>"),
]

REQUIRED = [
    Case(
        "a code fence",
        '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```',
        [WEATHER],
        required=True,
    ),
    Case("a plain object", '{"name": "get_weather", "arguments": {"city": "Paris"}}', [WEATHER], required=True),
    Case(
        "a list of objects",
        '[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {}}]',
        [WEATHER, TIME],
        required=True,
    ),
    Case("a fence with something else", "```python\nprint()\n```", [], "```python\nprint()\n```", required=True),
]

CASES = {
    f"{family}: {case.name}": case
    for family, cases in {
        "Hermes": HERMES,
        "Qwen3-Coder": QWEN3_CODER,
        "GLM": GLM,
        "Kimi K2": KIMI_K2,
        "DeepSeek": DEEPSEEK,
        "MiniMax": MINIMAX,
        "Gemma 4": GEMMA4,
        "Mistral": MISTRAL,
        "Llama 3": LLAMA,
        "pythonic": PYTHONIC,
        "required": REQUIRED,
        **RARER,
    }.items()
    for case in cases
}
