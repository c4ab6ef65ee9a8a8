// One streamed response, read with openai-node; what came of it is printed as JSON: node client.mjs BASE_URL
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'key', maxRetries: 0 });
const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const tools = [{ type: 'function', name: 'get_weather', parameters: city, strict: true }];

const types = [];
let text = '';
const argumentDeltas = {};
let response = null;
let error = null;
try {
  const stream = client.responses.stream({ model: 'scripted', input: 'Weather in Paris?', tools });
  for await (const event of stream) {
    types.push(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.type === 'response.function_call_arguments.delta') {
      argumentDeltas[event.output_index] = (argumentDeltas[event.output_index] ?? '') + event.delta;
    }
  }
  response = await stream.finalResponse();
} catch (caught) {
  error = { name: caught.constructor.name, message: caught.message, code: caught.code, type: caught.type, ...caught.error };
}
console.log(JSON.stringify({ types, text, argumentDeltas, response, error }));
