"""Tool calls in a host's text: what a tool parser does, for hosts that have none.

A model writes a call as text, in the markup that its family was trained on. `ToolMarkupFilter` makes of that what a
host with a tool parser would have sent: chunks whose `tool_calls` are the calls, and whose `content` is the rest. For
example

    "Let me see.\\n<tool" · "_call>\\n{\\"name\\": \\"f\\", \\"argu" · "ments\\": {\\"a\\"" · ": 1}}\\n</tool_call>"

becomes content "Let me see.\\n" · call f · arguments '{"a"' · arguments ': 1}'.

**How.** In text one thing is looked for, a character with which markup may begin; a delta without any is passed on by
the fast path. Past such a character the text is held, until an opener is there or cannot be. Past an opener a grammar
says what may follow (`forms.py` has one for each family, as data), and `reader.py` interprets it. A call is given out
once it has the name of a function that was offered and the first of its arguments. Before that it can still turn out to
be text, and then is, from the opener on.

**What it promises**, and the tests hold for every form, over random cuts of the text:

 1. How the text was cut changes neither the calls nor the text.
 2. Text in which there is no call comes out byte for byte. It is held back only from what may be an opener on, and
    never more than 64 characters before that is known to be one.
 3. The markup of a call is in no text: its opener, its closers, white space behind it, closers without an opener there.
 4. A call has the name of a function that was offered. Calls of others are text, as all calls are where no tool is
    offered or none may be called. So is what is in a code fence, which shows a call to a person.
 5. What closes a call or a parameter closes nothing inside an argument: in a JSON string never, in a parameter unless
    what follows is what may follow there.
 6. Arguments are JSON. JSON is passed on as it comes, put right only where no reader would take it. A parameter in
    markup is passed on when it is complete, as the type that its schema says; the text of a string as it comes, up to
    the first marker in it, but not that of the first parameter of a call in the middle of a line.
 7. What is missing is made up for where only one reading is left: openers and closers of blocks, calls and parameters,
    brackets at the end. Of two parameters with one name the first counts.
 8. An answer that ends within a call: before the first argument was given out it is text, after that a call whose
    arguments end there. Either is reported. A call that lacks nothing but closers is complete, unless the answer was
    cut: then more parameters might have followed.
 9. Reasoning stays reasoning. But calls with which it ends, if nothing follows it, are made: the model has forgotten to
    end its thinking.
10. The cost is that of the length of the text, whatever it is.

JSON without markup, and Python's lists of calls, are calls only at the beginning of an answer.
"""

from __future__ import annotations

from responses_shim.core.response.tool_markup.filter import ToolMarkupFilter
from responses_shim.core.response.tool_markup.forms import FORMS, blocks_of, form_of
from responses_shim.core.response.tool_markup.functions import Functions
from responses_shim.core.response.tool_markup.grammar import Block, Form
from responses_shim.core.response.tool_markup.response_template import template_form

__all__ = ["FORMS", "Block", "Form", "Functions", "ToolMarkupFilter", "blocks_of", "form_of", "template_form"]
