import {createParser} from 'eventsource-parser';

import {RequestError} from './request';
import type {TestEvent} from './types';

/**
 * Reads a test's server-sent events until the stream ends. `EventSource` can't be used: it sends no body and begins anew
 * by itself, which here would send another mail.
 *
 * Events of another name or shape are passed over, so that a newer server may say more.
 */
export async function readEvents(reply: Response, told: (event: TestEvent) => void): Promise<void> {
    const kind = reply.headers.get('Content-Type') ?? '';
    if (!kind.startsWith('text/event-stream') || reply.body === null) {
        throw new RequestError(reply.status, 'The answer is none of Postroom\'s: something between this page and Mattermost sent another.');
    }
    const parser = createParser({
        onEvent: ({event, data}) => {
            const read = readEvent(event, data);
            if (read !== null) {
                told(read);
            }
        },
    });
    const reader = reply.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
        const {done, value} = await reader.read();
        if (done) {
            return;
        }
        parser.feed(decoder.decode(value, {stream: true}));
    }
}

function readEvent(name: string | undefined, data: string): TestEvent | null {
    let said: unknown;
    try {
        said = JSON.parse(data);
    } catch {
        return null;
    }
    if (typeof said !== 'object' || said === null) {
        return null;
    }
    const members = said as Record<string, unknown>;
    switch (name) {
    case 'begun':
        return typeof members.test === 'string' ? {event: 'begun', test: members.test} : null;
    case 'step':
        return typeof members.step === 'string' ? {event: 'step', step: said as never} : null;
    case 'done':
        return {
            event: 'done',
            diagnosis: (members.diagnosis ?? null) as never,
            error: (members.error ?? null) as never,
            cancelled: members.cancelled === true,
        };
    default:
        return null;
    }
}
