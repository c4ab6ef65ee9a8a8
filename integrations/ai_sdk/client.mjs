// Runs one scenario with the AI SDK and prints what came of it as JSON: node client.mjs BASE_URL SCENARIO
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const [baseURL, scenario] = process.argv.slice(2);
const model = createOpenAI({ baseURL, apiKey: 'key' }).responses('scripted');

const getWeather = tool({
  description: 'The weather in a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});
const place = Output.object({ schema: z.object({ city: z.string() }) });
const question = { model, maxRetries: 0, system: 'Be brief.', prompt: 'Weather in Paris?' };
const withTools = { ...question, tools: { getWeather }, stopWhen: stepCountIs(3) };

const scenarios = {
  async text() {
    const { text, usage, finishReason } = await generateText(question);
    return { text, totalTokens: usage.totalTokens, finishReason };
  },

  async stream() {
    const result = streamText(question);
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    return { pieces, finishReason: await result.finishReason };
  },

  async tool() {
    const { text, steps } = await generateText(withTools);
    return { text, outputs: steps.flatMap((step) => step.toolResults.map((result) => result.output)) };
  },

  async streamedTool() {
    const result = streamText(withTools);
    const parts = [];
    for await (const part of result.fullStream) parts.push(part);
    return {
      text: await result.text,
      types: [...new Set(parts.map((part) => part.type))],
      input: parts.filter((part) => part.type === 'tool-input-delta').map((part) => part.delta).join(''),
    };
  },

  async object() {
    const { output, steps } = await generateText({ ...withTools, output: place });
    return { output, steps: steps.length };
  },

  async reasoning() {
    const openai = { forceReasoning: true, reasoningSummary: 'auto', store: false };
    const { text, reasoningText, steps } = await generateText({ ...withTools, providerOptions: { openai } });
    return { text, reasoningText, first: steps[0].reasoningText };
  },

  // As it comes, the SDK refers to the reasoning and the messages that the server has, by their ids.
  async references() {
    const providerOptions = { openai: { forceReasoning: true, reasoningSummary: 'auto' } };
    const messages = [{ role: 'user', content: question.prompt }];
    const asked = { ...withTools, prompt: undefined, providerOptions };
    const { response } = await generateText({ ...asked, messages });
    const next = [...messages, ...response.messages, { role: 'user', content: 'And now?' }];
    const { text, request } = await generateText({ ...asked, messages: next });
    return { text, sent: request.body.input.map((item) => item.type ?? item.role) };
  },

  async chain() {
    const first = await generateText(question);
    const openai = { previousResponseId: first.providerMetadata.openai.responseId };
    const next = { ...question, system: undefined, prompt: 'And now?' }; // the system message is in the chain
    const { text } = await generateText({ ...next, providerOptions: { openai } });
    return { text };
  },

  async error() {
    try {
      await generateText({ ...question, providerOptions: { openai: { previousResponseId: 'resp_1' } } });
    } catch (error) {
      return { status: error.statusCode, message: error.message };
    }
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
