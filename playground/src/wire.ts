// The parts of the API's JSON that the page reads and writes.

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
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
}

export interface Chunk {
  id: string;
  model: string;
  system_fingerprint?: string;
  choices: {
    index: number;
    delta: { content?: string | null; reasoning_content?: string | null; tool_calls?: ToolCallDelta[] };
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
    message: { content: string | null; reasoning_content?: string | null; tool_calls?: ToolCall[] };
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
}

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
