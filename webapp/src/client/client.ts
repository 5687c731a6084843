import {readEvents} from './events';
import {json, send} from './request';
import type {ConnectionName, Connections, Settings, TestEvent, Typed} from './types';

/** The header by which a test is given its id, so that it can be cancelled before anything of it has come back. */
const HEADER_TEST = 'X-Postroom-Test';

/** Everything the web app asks of the server. `base` is the path that Mattermost lives under, "" for none. */
export class Client {
    constructor(private readonly base: string) {}

    /** Postroom's connections and the plugin's saved settings. */
    async connections(): Promise<Connections> {
        return json<Connections>(await send('GET', this.ours('/connections')));
    }

    /** Mattermost's saved EmailSettings, the password as `PLACEHOLDER`. */
    async emailSettings(): Promise<Settings> {
        const config = await json<{EmailSettings?: Settings}>(await send('GET', `${this.base}/api/v4/config`));
        return config.EmailSettings ?? {};
    }

    /**
     * Tests a connection with what was typed, or as it is saved where nothing is given, and tells what happens.
     * Resolves when the stream ends, with or without `done`; rejects with a `RequestError`, or as `signal` aborts.
     */
    async test(name: ConnectionName, id: string, typed: Typed | null, told: (event: TestEvent) => void, signal: AbortSignal): Promise<void> {
        const reply = await send('POST', this.ours(`/connections/${name}/test`), {
            headers: {Accept: 'text/event-stream', [HEADER_TEST]: id},
            signal,
            ...(typed === null ? {} : {body: typed}),
        });
        await readEvents(reply, told);
    }

    /** Has a running test broken off. */
    async cancel(id: string): Promise<void> {
        await send('POST', this.ours(`/tests/${encodeURIComponent(id)}/cancel`));
    }

    private ours(path: string): string {
        return `${this.base}/plugins/postroom/api/v1${path}`;
    }
}

/** A random UUID (RFC 9562, version 4). `crypto.randomUUID` is not there on a page without https. */
export function newID(): string {
    const octets = crypto.getRandomValues(new Uint8Array(16));
    octets[6] = (octets[6] ?? 0) & 0x0f | 0x40;
    octets[8] = (octets[8] ?? 0) & 0x3f | 0x80;
    const hex = [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join('');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
