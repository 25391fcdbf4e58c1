/** The only place that calls the server: adds the CSRF token and turns failures into sentences. */

/** A failed call, with a sentence that may be shown to the person. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly detail: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

const SENTENCES: Readonly<Record<number, string>> = {
  0: 'The server did not answer. Check the connection and try again.',
  400: 'The server did not accept what was sent.',
  401: 'You are signed out. Sign in again in another tab, then retry; nothing here is lost.',
  403: 'You may not do this here.',
  404: 'This no longer exists, or it is not shared with you.',
  409: 'Somebody else saved a newer version in the meantime.',
  413: 'This is too large for the server to take.',
  429: 'Too many requests in a short time. Wait a moment and try again.',
};

/** The sentence for an HTTP status when the server gave none. */
export function sentenceFor(status: number): string {
  return (
    SENTENCES[status] ??
    (status >= 500
      ? 'The server failed while working on this. Nothing was changed; try again.'
      : `The server refused this (HTTP ${status}).`)
  );
}

/** The value of one cookie in a `document.cookie` string, or '' where there is none. */
export function cookieValue(cookies: string, name: string): string {
  for (const part of cookies.split(';')) {
    const [key, ...rest] = part.trim().split('=');
    if (key === name) return decodeURIComponent(rest.join('='));
  }
  return '';
}

/** The cookie first: it is renewed when somebody signs in again in another tab, the page's own is not. */
function csrfToken(): string {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]');
  return cookieValue(document.cookie, 'csrftoken') || meta?.content || '';
}

function failureOf(status: number, type: string, text: string): ApiError {
  if (type.includes('json')) {
    let body: Record<string, unknown> = {};
    try {
      body = JSON.parse(text) as Record<string, unknown>;
    } catch {
      return new ApiError(sentenceFor(status), status);
    }
    const message = body['detail'] ?? body['title'] ?? body['message'];
    if (typeof message === 'string' && message) return new ApiError(message, status, body);
  }
  return new ApiError(sentenceFor(status), status);
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  return failureOf(response.status, response.headers.get('Content-Type') ?? '', text);
}

/** Calls the server; resolves with a successful response or rejects with an `ApiError`. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const method = (init.method ?? 'GET').toUpperCase();
  if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) headers.set('X-CSRFToken', csrfToken());
  let response: Response;
  try {
    response = await fetch(url, { credentials: 'same-origin', ...init, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(sentenceFor(0), 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** GETs JSON. */
export async function getJson<T>(url: string, accept = 'application/json'): Promise<T> {
  const response = await request(url, { headers: { Accept: accept } });
  return (await response.json()) as T;
}

/** GETs bytes. */
export async function getBytes(url: string, accept = 'application/octet-stream'): Promise<ArrayBuffer> {
  const response = await request(url, { headers: { Accept: accept } });
  return response.arrayBuffer();
}

/** POSTs JSON and reads the JSON answer; gives up when the server is silent for `patience` milliseconds. */
export async function postJson<T>(url: string, body: unknown, patience = 20_000): Promise<T> {
  const response = await request(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    signal: AbortSignal.timeout(patience),
  });
  return (await response.json()) as T;
}

/** POSTs a form and reads the JSON answer. */
export async function postForm<T>(url: string, form: FormData): Promise<T> {
  const response = await request(url, {
    method: 'POST',
    body: form,
    headers: { Accept: 'application/json' },
  });
  return (await response.json()) as T;
}

/**
 * POSTs a form with files and reads the JSON answer; `onSent` hears the share sent, 0 to 1.
 *
 * Aborting the signal ends it and rejects with an `AbortError`. (fetch cannot tell how much it has sent.)
 */
export function sendFiles<T>(
  url: string,
  form: FormData,
  onSent: (share: number) => void,
  signal: AbortSignal,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open('POST', url);
    call.setRequestHeader('Accept', 'application/json');
    call.setRequestHeader('X-CSRFToken', csrfToken());
    call.upload.addEventListener('progress', (event) => {
      if (event.lengthComputable) onSent(event.loaded / event.total);
    });
    call.addEventListener('load', () => {
      const type = call.getResponseHeader('Content-Type') ?? '';
      if (call.status >= 200 && call.status < 300) resolve(JSON.parse(call.responseText) as T);
      else reject(failureOf(call.status, type, call.responseText));
    });
    call.addEventListener('error', () => reject(new ApiError(sentenceFor(0), 0)));
    call.addEventListener('abort', () => reject(new DOMException('The upload was stopped.', 'AbortError')));
    signal.addEventListener('abort', () => call.abort());
    call.send(form);
  });
}
