// OpenAI's SDK for JavaScript: `responses.stream()`, its helper that collects a stream, and `responses.create()`.
import OpenAI from 'openai';
import { API_KEY, FUNCTIONS, main, QUESTION } from './asking.mjs';

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const tools = Object.entries(FUNCTIONS).map(([name, { description }]) => {
  return { type: 'function', name, description, parameters: city, strict: true };
});

await main(async (baseURL, model, stream, outcome) => {
  const { responses } = new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 0 });
  const request = { model, input: QUESTION, tools };
  const response = stream ? await responses.stream(request).finalResponse() : await responses.create(request);
  outcome.text = response.output_text;
  for (const item of response.output) {
    if (item.type === 'function_call') {
      outcome.calls.push({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) });
    }
  }
});
