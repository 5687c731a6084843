// @vitest-environment jsdom
import {describe, expect, test} from 'vitest';

import {baseOfHost, baseOfPage} from '../src/client/base';
import {Client, newID} from '../src/client/client';

import {refusal, Server, Stream} from './server';

describe('the base of all addresses', () => {
    const {origin} = window.location;

    test.each([
        ['https://chat.example.com/plugins/postroom/console', ''],
        ['https://example.com/chat/plugins/postroom/console?x#y', '/chat'],
        ['https://example.com/elsewhere', ''],
    ])('of our page %s', (page, base) => {
        expect(baseOfPage(page)).toBe(base);
    });

    test.each([
        [`${origin}/static/plugins/postroom/postroom_1a2b_bundle.js`, undefined, ''],
        [`${origin}/chat/static/plugins/postroom/postroom_1a2b_bundle.js`, undefined, '/chat'],
        [`${origin}/chat/static/plugins/postroom/postroom_1a2b_bundle.js`, '/other', '/chat'],
        ['https://cdn.example.com/assets/static/plugins/postroom/bundle.js', '/chat/', '/chat'],
        ['', '/chat', '/chat'],
        ['', undefined, ''],
    ])('of the host, by %s and basename %s', (script, basename, base) => {
        (window as {basename?: unknown}).basename = basename;
        expect(baseOfHost(script)).toBe(base);
    });
});

test('a request has what Mattermost asks of a session with a cookie', async () => {
    document.cookie = 'MMCSRF=abc%3D1';
    const stream = new Stream();
    const server = new Server((asked) => {
        stream.end();
        return stream.reply(asked);
    });
    await new Client('/chat').test('primary', 'id-1', {settings: {PrimaryPort: 1}}, () => undefined, new AbortController().signal);
    const asked = server.one('/chat/plugins/postroom/api/v1/connections/primary/test');
    expect(asked.method).toBe('POST');
    expect(asked.headers.get('X-CSRF-Token')).toBe('abc=1');
    expect(asked.headers.get('X-Requested-With')).toBe('XMLHttpRequest');
    expect(asked.headers.get('X-Postroom-Test')).toBe('id-1');
    expect(asked.body).toEqual({settings: {PrimaryPort: 1}});
});

test.each([
    [() => refusal(429, 'Three tests are running.'), 'Three tests are running.'],
    [() => new Response('<h1>Forbidden</h1>', {status: 403}), 'for system admins'],
    [() => new Response('404 page not found', {status: 404}), 'Check under System Console > Plugins'],
    [() => new Response('bad gateway', {status: 502}), 'answered 502'],
    [() => new Response('"odd"', {status: 418}), 'answered 418'],
    [() => Promise.reject(new TypeError('Failed to fetch')), 'could not be reached'],
    [() => new Response('<html>', {status: 200}), 'none of Postroom'],
])('an error is in words: %#', async (answer, words) => {
    const server = new Server(answer);
    await expect(new Client('').connections()).rejects.toThrow(words);
    expect(server.one('/plugins/postroom/api/v1/connections').headers.get('X-CSRF-Token')).toBeNull();
});

test('an id is a random UUID', () => {
    const ids = new Set(Array.from({length: 100}, newID));
    expect(ids.size).toBe(100);
    for (const id of ids) {
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
});
