// Requests to the server this page came from. The key lives for as long as the tab.
import { signal } from "@preact/signals";

const KEY = "antiphon.key";

export const apiKey = signal(sessionStorage.getItem(KEY) ?? "");
/** True once the server has refused a request for want of a good key. */
export const keyWanted = signal(false);

export function setKey(key: string): void {
  apiKey.value = key;
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  keyWanted.value = false;
}

/** The `error` object of an answer, as the API gave it. */
export interface ErrorBody {
  message: string;
  type?: string | null;
  param?: string | null;
  code?: string | null;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
    readonly requestId: string | null,
  ) {
    super(body.message);
  }
}

/** Send a request with the key; the answer may be a refusal. */
export function send(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (apiKey.value) headers.set("authorization", `Bearer ${apiKey.value}`);
  if (options.body) headers.set("content-type", "application/json");
  return fetch(path, { ...options, headers });
}

export async function call(path: string, options: RequestInit = {}): Promise<Response> {
  const response = await send(path, options);
  if (response.ok) return response;
  if (response.status === 401) keyWanted.value = true;
  throw new ApiError(response.status, await errorBody(response), response.headers.get("x-request-id"));
}

export async function getJson<T>(path: string): Promise<T> {
  return (await call(path)).json() as Promise<T>;
}

async function errorBody(response: Response): Promise<ErrorBody> {
  try {
    const body = (await response.json()) as { error: ErrorBody };
    return { ...body.error, message: String(body.error.message) };
  } catch {
    return { message: `The server answered ${response.status} ${response.statusText}.` };
  }
}

/** What a failed request is shown as. */
export interface Trouble {
  message: string;
  /** Status, type, code, field and request id, as far as they are known. */
  facts: string;
}

export function troubleOf(error: unknown): Trouble {
  if (error instanceof ApiError) {
    const { type, code, param } = error.body;
    const status = error.status ? String(error.status) : "in the stream";
    const facts = [status, type, code, param && `field ${param}`, error.requestId].filter(Boolean);
    return { message: error.message, facts: facts.join(" · ") };
  }
  const reason = error instanceof Error ? error.message : String(error);
  return { message: `The server cannot be reached: ${reason}`, facts: "" };
}
