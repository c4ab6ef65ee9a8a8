// OpenAI's Agents SDK for JavaScript: its loop runs the functions and sends their outputs back.
import { Agent, OpenAIResponsesModel, Runner, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { API_KEY, FUNCTIONS, main, QUESTION } from './asking.mjs';

const tools = Object.entries(FUNCTIONS).map(([name, { description, run }]) => {
  return tool({ name, description, parameters: z.object({ city: z.string() }), execute: run });
});

await main(async (baseURL, model, stream, outcome) => {
  const client = new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 0 });
  const agent = new Agent({ name: 'agent', model: new OpenAIResponsesModel(client, model), tools });
  // Traces would go to OpenAI.
  const result = await new Runner({ tracingDisabled: true }).run(agent, QUESTION, { stream });
  if (stream) {
    for await (const event of result);
    await result.completed;
  }
  outcome.text = result.finalOutput;
  for (const { type, rawItem } of result.newItems) {
    if (type === 'tool_call_item') {
      outcome.calls.push({ id: rawItem.callId, name: rawItem.name, arguments: JSON.parse(rawItem.arguments) });
    }
  }
});
