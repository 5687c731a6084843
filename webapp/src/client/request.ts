import type {AppError} from './types';

/** What went wrong with a request, in words for an admin. `status` is 0 where no answer came. */
export class RequestError extends Error {
    constructor(readonly status: number, message: string, readonly id = '') {
        super(message);
        this.name = 'RequestError';
    }
}

/** Mattermost's cookie for its check against forged requests; scripts may read it, other sites' can't. */
function csrfToken(): string {
    const found = /(?:^|;\s*)MMCSRF=([^;]*)/.exec(document.cookie);
    return found?.[1] === undefined ? '' : decodeURIComponent(found[1]);
}

/** A request with the session's cookie and what Mattermost wants beside it (`validateCSRFForPluginRequest`). */
export async function send(method: 'GET' | 'POST', url: string, options: {body?: unknown; headers?: Record<string, string>; signal?: AbortSignal} = {}): Promise<Response> {
    const headers: Record<string, string> = {...options.headers, 'X-Requested-With': 'XMLHttpRequest'};
    if (method !== 'GET') {
        headers['X-CSRF-Token'] = csrfToken();
    }
    if (options.body !== undefined) {
        headers['Content-Type'] = 'application/json';
    }
    let reply: Response;
    try {
        reply = await fetch(url, {
            method,
            headers,
            credentials: 'same-origin',
            cache: 'no-store',
            ...(options.body === undefined ? {} : {body: JSON.stringify(options.body)}),
            ...(options.signal === undefined ? {} : {signal: options.signal}),
        });
    } catch (error) {
        if (options.signal?.aborted === true) {
            throw error;
        }
        throw new RequestError(0, 'The server could not be reached. Check the network, then try again.');
    }
    if (!reply.ok) {
        throw await refusal(reply);
    }
    return reply;
}

/** A JSON answer. Anything else, such as a proxy's own page, is an error that says so. */
export async function json<T>(reply: Response): Promise<T> {
    try {
        return await reply.json() as T;
    } catch {
        throw new RequestError(reply.status, 'The answer is none of Postroom\'s: something between this page and Mattermost sent another.');
    }
}

/** The server's own words where it has any, else ours by the status. */
async function refusal(reply: Response): Promise<RequestError> {
    let error: Partial<AppError> = {};
    try {
        const body: unknown = JSON.parse(await reply.text());
        if (typeof body === 'object' && body !== null) {
            error = body;
        }
    } catch {
        // not ours: a proxy's page, or Mattermost's "404 page not found"
    }
    const said = typeof error.message === 'string' && error.message !== '' ? error.message : null;
    return new RequestError(reply.status, said ?? byStatus(reply.status), typeof error.id === 'string' ? error.id : '');
}

function byStatus(status: number): string {
    switch (status) {
    case 401:
        return 'Your session has ended. Log in again, then repeat this.';
    case 403:
        return 'You may not do this: it is for system admins, and not allowed while Mattermost restricts them (RestrictSystemAdmin).';
    case 404:
        return 'Postroom does not answer. Check under System Console > Plugins that it is enabled and up to date.';
    case 429:
        return 'Too many at once. Wait until another test has ended, or cancel it.';
    case 501:
        return 'Plugins are switched off on this server.';
    case 502:
    case 503:
    case 504:
        return `The server or a proxy before it answered ${String(status)}: it is busy or starting again. Try again in a moment.`;
    default:
        return `The server answered ${String(status)}.`;
    }
}
