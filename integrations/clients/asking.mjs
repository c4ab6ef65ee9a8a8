// What the scripts of the JavaScript clients share: the questions on their command line, and the outcomes they print.
//
//   node ask_openai.mjs BASE_URL stream:silent-at-first whole:two-calls
//
// Each question is a way to ask (`stream` or `whole`) and a model. The outcomes are printed as one JSON list: the text,
// the calls that the client makes or would have its user make, and the exception that it throws.
import process from 'node:process';

export const QUESTION = 'What is the weather in Paris, and the time in Rome?';
export const API_KEY = 'none';

export const FUNCTIONS = {
  get_weather: { description: 'The weather in a city.', run: ({ city }) => `It is sunny in ${city}.` },
  get_time: { description: 'The time in a city.', run: ({ city }) => `It is noon in ${city}.` },
};

// Asks each question of the command line, by `ask(baseURL, model, stream, outcome)`, which fills in the outcome.
export async function main(ask) {
  const [baseURL, ...questions] = process.argv.slice(2);
  const outcomes = [];
  for (const question of questions) {
    const [way, model] = question.split(':');
    const outcome = { text: '', calls: [], error: null };
    try {
      await ask(baseURL, model, way === 'stream', outcome);
    } catch (error) {
      // What the server said may be in the body only, and the message no more than the HTTP status.
      outcome.error = [error.constructor.name, error.message, error.responseBody ?? ''].join(': ');
    }
    outcomes.push(outcome);
  }
  console.log(JSON.stringify(outcomes));
}
