// LangChain's chat model for OpenAI, with `useResponsesApi`.
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { API_KEY, FUNCTIONS, main, QUESTION } from './asking.mjs';

const tools = Object.entries(FUNCTIONS).map(([name, { description, run }]) => {
  return tool(run, { name, description, schema: z.object({ city: z.string() }) });
});

await main(async (baseURL, model, stream, outcome) => {
  const options = { model, useResponsesApi: true, apiKey: API_KEY, maxRetries: 0, configuration: { baseURL } };
  const chat = new ChatOpenAI(options).bindTools(tools);
  let message;
  if (stream) {
    for await (const chunk of await chat.stream(QUESTION)) {
      message = message === undefined ? chunk : message.concat(chunk);
    }
  } else {
    message = await chat.invoke(QUESTION);
  }
  outcome.text = message.text;
  for (const { id, name, args } of message.tool_calls) {
    outcome.calls.push({ id, name, arguments: args });
  }
});
