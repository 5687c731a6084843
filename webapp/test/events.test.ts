// @vitest-environment jsdom
import {expect, test} from 'vitest';

import {readEvents} from '../src/client/events';
import type {TestEvent} from '../src/client/types';

import {step, Stream} from './server';

const text = [
    ': a comment, as keeps a proxy awake\n\n',
    'event: begun\ndata: {"test": "t1"}\n\n',
    `event: step\r\ndata: ${JSON.stringify(step('tcp', 'failed', {said: 'ü – 日本'}))}\r\n\r\n`,
    'event: news\ndata: {"of": "a newer server"}\n\n',
    'event: step\ndata: not JSON\n\n',
    'event: done\ndata: {"diagnosis": null,\ndata: "error": null, "cancelled": true}\n\n',
    'event: step\ndata: {"step": "cut off',
].join('');

const meant: TestEvent[] = [
    {event: 'begun', test: 't1'},
    {event: 'step', step: step('tcp', 'failed', {said: 'ü – 日本'})},
    {event: 'done', diagnosis: null, error: null, cancelled: true},
];

test.each([1, 2, 3, 7, 64, 100_000])('events are read whole from pieces of %i octets', async (size) => {
    const stream = new Stream();
    const told: TestEvent[] = [];
    const read = readEvents(stream.reply(), (event) => told.push(event));
    const octets = new TextEncoder().encode(text);
    for (let at = 0; at < octets.length; at += size) {
        stream.octets(octets.subarray(at, at + size));
    }
    stream.end();
    await read;
    expect(told).toEqual(meant);
});

test('an event is told before the next one comes', async () => {
    const stream = new Stream();
    const told: string[] = [];
    const read = readEvents(stream.reply(), (event) => told.push(event.event));
    stream.event('begun', {test: 't1'});
    await expect.poll(() => told).toEqual(['begun']);
    stream.end();
    await read;
});

test('a stream that is cut is an error, and a page is no stream', async () => {
    const stream = new Stream();
    const read = readEvents(stream.reply(), () => undefined);
    stream.cut();
    await expect(read).rejects.toThrow('network error');
    const page = new Response('<html>Please log in</html>', {headers: {'Content-Type': 'text/html'}});
    await expect(readEvents(page, () => undefined)).rejects.toThrow('none of Postroom');
});
