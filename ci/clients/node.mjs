// The Node clients, unmodified. Reads one request a line and prints its outcome, in JSON: see `clients.py`, class `Node`.
import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import AnthropicBedrock, { AnthropicBedrockMantle } from "@anthropic-ai/bedrock-sdk";
import AnthropicFoundry from "@anthropic-ai/foundry-sdk";
import AnthropicVertex from "@anthropic-ai/vertex-sdk";
import { GoogleAuth, OAuth2Client } from "google-auth-library";

const scopes = "https://www.googleapis.com/auth/cloud-platform";

// google-auth-library gets an access token from the simulator.
function googleCredentials(environment) {
  if (!environment.GOOGLE_ACCESS_TOKEN) return { googleAuth: new GoogleAuth({ scopes }) };
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: environment.GOOGLE_ACCESS_TOKEN });
  return { authClient };
}

const make = {
  Anthropic: (url, env, more) => new Anthropic({ baseURL: url, apiKey: env.ANTHROPIC_API_KEY, ...more }),
  AnthropicFoundry: (url, env, more) =>
    new AnthropicFoundry({ baseURL: `${url}/anthropic/`, apiKey: env.AZURE_AI_API_KEY, ...more }),
  AnthropicBedrock: (url, env, more) =>
    new AnthropicBedrock({
      baseURL: url,
      awsRegion: env.AWS_REGION_NAME,
      awsAccessKey: env.AWS_ACCESS_KEY_ID,
      awsSecretKey: env.AWS_SECRET_ACCESS_KEY,
      awsSessionToken: env.AWS_SESSION_TOKEN,
      ...more,
    }),
  AnthropicBedrockMantle: (url, env, more) =>
    new AnthropicBedrockMantle({
      baseURL: `${url}/anthropic`,
      awsRegion: env.AWS_REGION_NAME,
      awsAccessKey: env.AWS_ACCESS_KEY_ID,
      awsSecretAccessKey: env.AWS_SECRET_ACCESS_KEY,
      awsSessionToken: env.AWS_SESSION_TOKEN,
      ...more,
    }),
  AnthropicVertex: (url, env, more) =>
    new AnthropicVertex({
      baseURL: `${url}/v1`,
      projectId: env.VERTEXAI_PROJECT,
      region: env.VERTEXAI_LOCATION,
      ...googleCredentials(env),
      ...more,
    }),
};

const clients = new Map();

function client({ name, baseUrl, environment, timeout }) {
  const key = JSON.stringify([name, baseUrl, environment]);
  if (!clients.has(key)) clients.set(key, make[name](baseUrl, environment, { maxRetries: 0, timeout }));
  return clients.get(key);
}

async function send(job) {
  const { messages, models } = client(job);
  if (job.operation === "models") {
    const { data } = await models.list();
    return { tokens: data.length, values: data.map((model) => ["ModelInfo", model]) };
  }
  if (job.operation === "count") {
    const { max_tokens: _, ...request } = job.request;
    const count = await messages.countTokens(request);
    return { tokens: count.input_tokens, values: [["MessageTokensCount", count]] };
  }
  if (job.operation === "reply") {
    const message = await messages.create(job.request);
    return { message, values: [["Message", message]] };
  }
  const values = [];
  const stream = messages.stream(job.request);
  stream.on("streamEvent", (event) => values.push(["RawMessageStreamEvent", structuredClone(event)]));
  return { message: await stream.finalMessage(), values };
}

function outcomeOf(error) {
  if (!(error instanceof Anthropic.APIError) || error.status === undefined) throw error;
  const { status, type, requestID } = error;
  // The Python package names the class of all other statuses so.
  const name = error.constructor === Anthropic.APIError ? "APIStatusError" : error.constructor.name;
  return { error: { name, status, kind: type ?? null, request_id: requestID ?? null } };
}

for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  try {
    outcome = await send(JSON.parse(line)).catch(outcomeOf);
  } catch (error) {
    outcome = { crash: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(outcome));
}
