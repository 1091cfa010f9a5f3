// The parts of the API's JSON that the page reads and writes.

/** A call of a function or of a custom tool; each has its own member. */
export interface ToolCall {
  id: string;
  type: "function" | "custom";
  function?: { name: string; arguments: string };
  custom?: { name: string; input: string };
}

export interface TokenScore {
  token: string;
  logprob: number;
  bytes: number[] | null;
  top_logprobs: { token: string; logprob: number; bytes: number[] | null }[];
}

export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: string | null;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

export interface ToolCallDelta {
  index: number;
  id?: string;
  function?: { name?: string; arguments?: string };
  custom?: { name?: string; input?: string };
}

/** What the model thought; servers can be told to call it either way. */
export interface Thoughts {
  reasoning_content?: string | null;
  reasoning?: string | null;
}

export interface Chunk {
  id: string;
  model: string;
  system_fingerprint?: string;
  choices: {
    index: number;
    delta: Thoughts & { content?: string | null; tool_calls?: ToolCallDelta[] };
    logprobs?: { content: TokenScore[] | null } | null;
    finish_reason: string | null;
  }[];
  usage?: Usage | null;
}

export interface WholeAnswer {
  id: string;
  model: string;
  system_fingerprint?: string;
  created: number;
  choices: {
    index: number;
    message: Thoughts & { content: string | null; tool_calls?: ToolCall[] };
    logprobs?: { content: TokenScore[] | null } | null;
    finish_reason: string;
  }[];
  usage?: Usage;
  metadata?: Record<string, string> | null;
}

export interface Model {
  id: string;
  alias_of: string | null;
  max_model_len: number;
  /** What the operator has set for this model, by the name of the field. */
  defaults: Record<string, number>;
  has_system_prompt: boolean;
}

/** How a model is; one that is not loaded is loaded by the next request for it. */
export type ModelState = "ready" | "loading" | "unloaded" | "unavailable";

export interface Page<T> {
  data: T[];
  has_more: boolean;
  last_id?: string | null;
}

/** A scalar field of the request; see `parameters.py`. */
export interface Parameter {
  name: string;
  kind: "integer" | "number" | "boolean" | "choice";
  minimum?: number;
  maximum?: number;
  choices?: string[];
  default: number | boolean | string | null;
  note: string;
}

export type Body = Record<string, unknown>;
