// @vitest-environment jsdom
import {cleanup, fireEvent, render, screen} from '@testing-library/react';
import {describe, expect, test, vi} from 'vitest';

import {Client} from '../src/client/client';
import {PLACEHOLDER, type Typed} from '../src/client/types';
import {TestConnection} from '../src/test-connection/TestConnection';

import {refusal, Server, step, Stream, type Asked} from './server';

interface Played {
    server: Server;
    stream: Stream;
    cancelled: string[];
}

/** Shows the component on a server whose tests are the stream that is given back, and presses the button. */
function press(options: {typed?: Typed | null; cancel?: (tries: number) => Response; test?: (asked: Asked) => Response | Promise<Response>} = {}): Played {
    const stream = new Stream();
    const cancelled: string[] = [];
    const server = new Server((asked) => {
        const cancel = /\/tests\/([^/]+)\/cancel$/.exec(asked.path);
        if (cancel?.[1] !== undefined) {
            cancelled.push(cancel[1]);
            return options.cancel?.(cancelled.length) ?? Response.json({status: 'OK'});
        }
        return options.test?.(asked) ?? stream.reply(asked);
    });
    render(
        <TestConnection
            client={new Client('')}
            name='primary'
            what='the primary connection'
            typed={() => options.typed ?? null}
        />,
    );
    click('Test Connection');
    return {server, stream, cancelled};
}

function click(name: string): void {
    fireEvent.click(screen.getByRole('button', {name}));
}

/** The steps on the screen, as their state and name. */
function steps(): string[] {
    return screen.queryAllByRole('listitem').map((item) => `${item.dataset.step ?? ''} ${item.dataset.state ?? ''}`);
}

/** What a screen reader is told. */
const announced = (): string => document.querySelector('.postroom-unseen[role=status]')?.textContent ?? '';
const summary = (): string => document.querySelector('.postroom-summary')?.textContent ?? '';
const done = {diagnosis: {steps: [step('tcp'), step('queued', 'ok', {said: '250 2.0.0 Ok: queued as 4F2A1'})], sent_to: 'ada@example.com', queue_id: '4F2A1'}, error: null, cancelled: false};

describe('a test', () => {
    test('shows each step as it comes, in the place of the one before it', async () => {
        const {stream} = press();
        expect(summary()).toContain('Testing…');
        stream.event('begun', {test: 't1'});
        stream.event('step', step('dns'));
        await expect.poll(steps).toEqual(['dns ok']);
        stream.event('step', step('tcp', 'failed', {ms: 1234, said: 'connection refused', advice: 'Check the port.'}));
        await expect.poll(steps).toEqual(['dns ok', 'tcp failed']);
        stream.event('step', step('dns', 'warning'));
        await expect.poll(steps).toEqual(['dns warning', 'tcp failed']);
        const failed = screen.getAllByRole('listitem')[1];
        expect(failed?.textContent).toBe('FailedConnection1.2 sconnection refusedCheck the port.');
        expect(failed?.querySelector('pre')?.textContent).toBe('connection refused');
        expect(announced()).toBe('Connection: Failed.');
        stream.event('done', {diagnosis: {steps: [step('dns'), step('tcp', 'failed'), step('tls', 'skipped', {ms: null})], sent_to: '', queue_id: null}, error: null, cancelled: false});
        await expect.poll(steps).toEqual(['dns ok', 'tcp failed', 'tls skipped']);
        expect(summary()).toBe('Failed: Connection. No mail was sent.');
        expect(announced()).toBe('Failed: Connection. No mail was sent.');
    });

    test('ends with the queue id, and may be made again though the stream stays open', async () => {
        const {stream, server} = press();
        stream.event('begun', {test: 't1'});
        stream.event('done', done);
        await expect.poll(summary).toBe('The server accepted a test mail to ada@example.com.');
        expect(screen.getByText('4F2A1').tagName).toBe('CODE');
        expect(screen.queryByRole('button', {name: 'Cancel'})).toBeNull();
        click('Test Connection');
        expect(server.asked.length).toBe(2);
        expect(steps()).toEqual([]);
    });

    test('is not made twice at once', () => {
        const {server} = press();
        click('Test Connection');
        expect(server.asked.length).toBe(1);
    });

    test('sends what was typed, as it stands when the button is pressed', () => {
        const {server} = press({typed: {settings: {PrimaryHost: 'x'}}});
        expect(server.one('/test').body).toEqual({settings: {PrimaryHost: 'x'}});
    });

    test('that ends in an error of the server\'s own keeps the steps that were told', async () => {
        const {stream} = press();
        stream.event('step', step('tcp'));
        stream.event('done', {diagnosis: {steps: null, sent_to: '', queue_id: null}, error: {id: 'x', message: 'Postroom met an error of its own.'}, cancelled: false});
        await expect.poll(summary).toBe('Postroom met an error of its own.');
        expect(steps()).toEqual(['tcp ok']);
    });

    test('without a step that failed, its error is shown', async () => {
        const {stream} = press();
        stream.event('done', {diagnosis: {steps: [step('spf', 'warning')], sent_to: '', queue_id: null}, error: {id: 'x', message: 'The test took too long.'}, cancelled: false});
        await expect.poll(summary).toBe('The test took too long.');
    });
});

describe('what goes wrong', () => {
    test.each([
        ['a stream that ends midway', (stream: Stream) => {
            stream.end();
        }],
        ['a stream that is cut', (stream: Stream) => {
            stream.cut();
        }],
    ])('%s: what is known stays, and what is not known is said', async (_, breakOff) => {
        const {stream} = press();
        stream.event('begun', {test: 't1'});
        stream.event('step', step('tcp'));
        await expect.poll(steps).toEqual(['tcp ok']);
        breakOff(stream);
        await expect.poll(summary).toContain('broke off before the test ended');
        expect(steps()).toEqual(['tcp ok']);
        expect(screen.getByRole('button', {name: 'Test Connection'}).getAttribute('aria-disabled')).toBe('false');
    });

    test.each([
        [refusal(403, 'You do not have the appropriate permissions.'), 'You do not have the appropriate permissions.'],
        [refusal(429, 'Three tests are running. Wait for one to end.'), 'Three tests are running. Wait for one to end.'],
        [new Response('<html>Sign in</html>', {headers: {'Content-Type': 'text/html'}}), 'none of Postroom'],
    ])('a refusal is in the server\'s words, or in ours: %#', async (reply, words) => {
        press({test: () => reply});
        await expect.poll(summary).toContain(words);
        expect(steps()).toEqual([]);
    });

    test('silence is explained', async () => {
        vi.useFakeTimers({toFake: ['setInterval', 'clearInterval', 'Date']});
        const {stream} = press();
        expect(document.body.textContent).not.toContain('proxy');
        vi.advanceTimersByTime(10_000);
        await expect.poll(() => document.body.textContent).toContain('proxy_buffering');
        expect(document.querySelector('.postroom-elapsed')?.textContent).toBe('10 s');
        stream.event('begun', {test: 't1'});
        await vi.waitFor(() => {
            expect(document.body.textContent).not.toContain('proxy_buffering');
        });
    });

    test('no answer at all for a minute and a half', async () => {
        vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
        press({test: () => new Promise(() => undefined)});
        vi.advanceTimersByTime(90_000);
        await vi.waitFor(() => {
            expect(summary()).toContain('No answer came');
        });
    });
});

describe('cancelling', () => {
    test('ends with the stream\'s own end, and by the id that the server gave', async () => {
        const {stream, cancelled} = press();
        stream.event('begun', {test: 't1'});
        stream.event('step', step('tcp'));
        await expect.poll(steps).toEqual(['tcp ok']);
        click('Cancel');
        await expect.poll(() => cancelled).toEqual(['t1']);
        expect(summary()).toContain('Cancelling…');
        stream.event('done', {diagnosis: {steps: [step('tcp'), step('greeting', 'skipped')], sent_to: '', queue_id: null}, error: null, cancelled: true});
        await expect.poll(summary).toBe('Cancelled.');
        expect(steps()).toEqual(['tcp ok', 'greeting skipped']);
    });

    test('works before anything has come back, by an id of our own, also where the server hears of it first', async () => {
        const {server, cancelled} = press({cancel: (tries) => (tries === 1 ? refusal(404, 'No such test.') : Response.json({status: 'OK'}))});
        click('Cancel');
        await expect.poll(() => cancelled.length, {timeout: 5_000}).toBe(2);
        expect(new Set(cancelled)).toEqual(new Set([server.one('/test').headers.get('X-Postroom-Test')]));
    });

    test('does not wait for ever for an answer that is held back', async () => {
        const {server} = press();
        vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
        click('Cancel');
        await vi.advanceTimersByTimeAsync(6_000);
        await vi.waitFor(() => {
            expect(summary()).toBe('Cancelled.');
        });
        expect(server.one('/test').signal?.aborted).toBe(true);
    });

    test('that fails says so, and the test goes on', async () => {
        const {stream} = press({cancel: () => refusal(503, 'Postroom is starting again.')});
        stream.event('begun', {test: 't1'});
        click('Cancel');
        await expect.poll(() => document.body.textContent).toContain('It could not be cancelled: Postroom is starting again.');
        stream.event('done', done);
        await expect.poll(summary).toContain('accepted');
    });

    test('is what leaving the page does', async () => {
        const {stream, cancelled, server} = press();
        stream.event('begun', {test: 't1'});
        await expect.poll(() => screen.queryByRole('button', {name: 'Cancel'})).not.toBeNull();
        stream.event('step', step('tcp'));
        await expect.poll(steps).toEqual(['tcp ok']);
        cleanup();
        await expect.poll(() => cancelled).toEqual(['t1']);
        expect(server.one('/test').signal?.aborted).toBe(true);
    });
});

describe('what was typed as a secret', () => {
    const secret = 'hunter2 & ünsichtbar';
    const spelled = [
        secret,
        Buffer.from(secret).toString('base64'),
        Buffer.from(`\0ada\0${secret}`).toString('base64'),
        encodeURIComponent(secret),
    ];
    const typed: Typed = {settings: {PrimaryUsername: 'ada', PrimaryPassword: secret, PrimaryClientSecret: 'other-secret', PrimaryRefreshToken: PLACEHOLDER, FallbackPassword: 'env:SMTP_PASSWORD'}};

    test('is neither shown nor copied, though the peer repeats it in any spelling', async () => {
        const copied: string[] = [];
        const {stream} = press({typed});
        vi.stubGlobal('navigator', {clipboard: {writeText: (text: string) => {
            copied.push(text);
            return Promise.resolve();
        }}});
        const said = `535 5.7.8 not you: ${[...spelled, 'other-secret', PLACEHOLDER, 'env:SMTP_PASSWORD'].join(' ')}`;
        const steps = [step('auth', 'failed', {said, advice: `Not ${secret}.`}), step('mail_from', 'skipped', {ms: null})];
        stream.event('begun', {test: 't1'});
        stream.event('step', steps[0]);
        stream.event('done', {diagnosis: {steps, sent_to: '', queue_id: null}, error: {id: 'x', message: said}, cancelled: false});
        await expect.poll(summary).toBe('Failed: Login. No mail was sent.');
        click('Copy as text');
        await expect.poll(() => copied.length).toBe(1);
        await screen.findByText('Copied.');
        for (const text of [copied[0] ?? '', document.body.textContent]) {
            for (const each of [...spelled, 'other-secret']) {
                expect(text).not.toContain(each);
            }
            expect(text).toContain('not you: ••••••');
            expect(text).toContain('env:SMTP_PASSWORD'); // where a secret lies is none
        }
        expect(copied[0]).toMatch(/^Postroom: test of the primary connection\n\d{4}-.*Z\n\nFailed {3}Login \(3 ms\)\n {9}> 535 5.7.8 not you: /);
        expect(copied[0]).toContain('\n         Not ••••••.\nSkipped  Sender\n\nFailed: Login. No mail was sent.\n');
    });

    test('where nobody may copy, the text is there to be taken', async () => {
        const {stream} = press({typed});
        vi.stubGlobal('navigator', {clipboard: {writeText: () => Promise.reject(new Error('not allowed'))}});
        stream.event('step', step('auth', 'failed', {said: secret}));
        stream.end();
        await expect.poll(summary).toContain('broke off');
        click('Copy as text');
        const field = await screen.findByRole<HTMLTextAreaElement>('textbox', {name: 'The result as text'});
        expect(field.value).toContain('> ••••••\n');
    });
});
