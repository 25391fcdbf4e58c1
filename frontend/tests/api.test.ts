import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, cookieValue, request, sentenceFor } from '../src/api';

const answer = (status: number, body: string, type: string) =>
  new Response(body, { status, headers: { 'Content-Type': type } });

beforeEach(() => {
  vi.stubGlobal('document', { cookie: 'a=1; csrftoken=tok%20en', querySelector: () => null });
});
afterEach(() => vi.unstubAllGlobals());

describe('request', () => {
  it('adds the CSRF token to what changes things, and only there', async () => {
    const seen: Headers[] = [];
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      seen.push(new Headers(init.headers));
      return answer(200, '{}', 'application/json');
    });
    await request('/x', { method: 'POST' });
    await request('/x');
    expect(seen[0]?.get('X-CSRFToken')).toBe('tok en');
    expect(seen[1]?.has('X-CSRFToken')).toBe(false);
  });

  it('passes on the sentence of a problem document', async () => {
    vi.stubGlobal('fetch', async () => answer(409, '{"title":"T","detail":"Version 3 was saved."}', 'application/problem+json'));
    const error = await request('/x').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ message: 'Version 3 was saved.', status: 409 });
  });

  it('has a sentence of its own where the server sent a page', async () => {
    vi.stubGlobal('fetch', async () => answer(502, '<html>', 'text/html'));
    await expect(request('/x')).rejects.toThrow(sentenceFor(502));
  });

  it('says that the server did not answer', async () => {
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('Failed to fetch');
    });
    await expect(request('/x')).rejects.toMatchObject({ status: 0, message: sentenceFor(0) });
  });
});

describe('cookieValue', () => {
  it('finds whole names only', () => {
    expect(cookieValue('xcsrftoken=bad; csrftoken=good', 'csrftoken')).toBe('good');
    expect(cookieValue('', 'csrftoken')).toBe('');
  });
});
