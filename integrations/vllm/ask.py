"""Has a model call a function, and answers the call: OpenAI's SDK on vLLM with the shim.

    python integrations/vllm/ask.py http://localhost:8000/v1 [MODEL]

Without a model it takes the first that the server lists.
"""

import os
import sys
from typing import Any

from openai import OpenAI

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000/v1"
client = OpenAI(base_url=url, api_key=os.environ.get("VLLM_API_KEY", "none"))
model = sys.argv[2] if len(sys.argv) > 2 else client.models.list().data[0].id

get_weather: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}

# A field of vLLM's: Qwen's chat template has the model think unless it is told not to.
without_thoughts = {"chat_template_kwargs": {"enable_thinking": False}}

response = client.responses.create(
    model=model, input="What is the weather in Paris?", tools=[get_weather], extra_body=without_thoughts
)
calls = [item for item in response.output if item.type == "function_call"]
for call in calls:
    print(f"{call.name}({call.arguments})")
if calls:
    outputs: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 25 °C"} for call in calls
    ]
    response = client.responses.create(
        model=model,
        input=outputs,
        previous_response_id=response.id,
        tools=[get_weather],
        extra_body=without_thoughts,
    )
print(response.output_text)
