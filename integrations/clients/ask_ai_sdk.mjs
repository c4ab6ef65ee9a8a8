// Vercel's AI SDK with one of its providers for the Responses API: PROVIDER=openai or PROVIDER=open-responses.
import process from 'node:process';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText, tool } from 'ai';
import { z } from 'zod';
import { API_KEY, FUNCTIONS, main, QUESTION } from './asking.mjs';

const providers = {
  openai: (baseURL) => createOpenAI({ baseURL, apiKey: API_KEY }).responses,
  'open-responses': (baseURL) => createOpenResponses({ name: 'shim', url: `${baseURL}/responses`, apiKey: API_KEY }),
};
const provider = providers[process.env.PROVIDER];

const tools = Object.fromEntries(
  Object.entries(FUNCTIONS).map(([name, { description }]) => {
    return [name, tool({ description, inputSchema: z.object({ city: z.string() }) })];
  }),
);

await main(async (baseURL, model, stream, outcome) => {
  const question = { model: provider(baseURL)(model), maxRetries: 0, prompt: QUESTION, tools };
  let result;
  if (stream) {
    // An error in a stream is not thrown: it is a part of `fullStream`, and goes to `onError`.
    let thrown = null;
    result = streamText({ ...question, onError: ({ error }) => (thrown = error) });
    await result.consumeStream();
    if (thrown !== null) throw thrown;
  } else {
    result = await generateText(question);
  }
  outcome.text = await result.text;
  outcome.finishReason = await result.finishReason;
  for (const { toolCallId, toolName, input } of await result.toolCalls) {
    outcome.calls.push({ id: toolCallId, name: toolName, arguments: input });
  }
});
