import {vi} from 'vitest';

import type {Step} from '../src/client/types';

export interface Asked {
    method: string;
    path: string;
    headers: Headers;
    body: unknown;
    signal: AbortSignal | null;
}

/** A stand-in for the server: it keeps what it was asked, and answers as the test says. It knows no rule of the plugin's. */
export class Server {
    readonly asked: Asked[] = [];

    constructor(private readonly answer: (asked: Asked) => Response | Promise<Response>) {
        vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
            const asked: Asked = {
                method: init.method ?? 'GET',
                path: url,
                headers: new Headers(init.headers),
                body: typeof init.body === 'string' ? JSON.parse(init.body) : undefined,
                signal: init.signal ?? null,
            };
            this.asked.push(asked);
            return this.answer(asked);
        });
    }

    /** The one request whose path ends so. */
    one(end: string): Asked {
        const found = this.asked.filter(({path}) => path.endsWith(end));
        if (found.length !== 1 || found[0] === undefined) {
            throw new Error(`${String(found.length)} requests end in ${end}: ${this.asked.map(({path}) => path).join(' ')}`);
        }
        return found[0];
    }
}

/** A stream of server-sent events that the test writes into. */
export class Stream {
    private controller!: ReadableStreamDefaultController<Uint8Array>;
    private readonly body = new ReadableStream<Uint8Array>({start: (controller) => {
        this.controller = controller;
    }});

    reply(asked?: Asked): Response {
        asked?.signal?.addEventListener('abort', () => {
            this.controller.error(new DOMException('aborted', 'AbortError'));
        });
        return new Response(this.body, {headers: {'Content-Type': 'text/event-stream'}});
    }

    octets(octets: Uint8Array): void {
        this.controller.enqueue(octets);
    }

    text(text: string): void {
        this.octets(new TextEncoder().encode(text));
    }

    event(name: string, data: unknown): void {
        this.text(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    }

    end(): void {
        this.controller.close();
    }

    /** What a connection that is cut looks like to `fetch`. */
    cut(): void {
        this.controller.error(new TypeError('network error'));
    }
}

export function step(name: string, state: Step['state'] = 'ok', more: Partial<Step> = {}): Step {
    return {step: name, state, ms: 3, said: '', advice: '', cause: null, ...more};
}

export function refusal(status: number, message: string): Response {
    return Response.json({id: 'some.app_error', message, status_code: status}, {status});
}
