import {PLACEHOLDER, type Diagnosis, type Step, type TestEvent, type Typed} from '../client/types';

const MASK = '••••••';

/** Names of settings whose value is a secret: Mattermost's and ours. */
const SECRET = /password|secret|refresh_?token|webhook/i;

/** Shorter than this, a value stands in too many words to be masked, and is too short to be a secret. */
const SHORTEST = 3;

/** What was typed that nobody must read on a screen or in a copied text, in each spelling that a server may echo. */
export function secretsIn(typed: Typed | null): string[] {
    if (typed === null) {
        return [];
    }
    const settings = 'EmailSettings' in typed ? typed.EmailSettings : typed.settings;
    const strings = Object.entries(settings).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
    const users = strings.filter(([name]) => /username$/i.test(name)).map(([, value]) => value);
    const found = new Set<string>();
    for (const [name, value] of strings) {
        if (!SECRET.test(name) || value === PLACEHOLDER || /^(env|file):/.test(value) || value.trim().length < SHORTEST) {
            continue;
        }
        // As typed, as a URL has it, and as AUTH LOGIN and AUTH PLAIN send it (RFC 4616: no authorization identity, or the user's).
        const spelled = [value, value.trim(), encodeURIComponent(value), base64(value)];
        for (const user of users) {
            spelled.push(base64(`\0${user}\0${value}`), base64(`${user}\0${user}\0${value}`));
        }
        spelled.forEach((each) => found.add(each));
    }
    // The longest first, so that none is cut in two by another that it holds.
    return [...found].sort((a, b) => b.length - a.length);
}

function base64(text: string): string {
    return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** A text without the secrets. */
export function masked(text: string, secrets: readonly string[]): string {
    return secrets.reduce((rest, secret) => rest.replaceAll(secret, MASK), text);
}

/** An event without the secrets. The server sends none; a peer that echoes what it was sent might. */
export function maskedEvent(event: TestEvent, secrets: readonly string[]): TestEvent {
    const step = (each: Step): Step => ({...each, said: masked(each.said, secrets), advice: masked(each.advice, secrets)});
    switch (event.event) {
    case 'begun':
        return event;
    case 'step':
        return {...event, step: step(event.step)};
    case 'done': {
        const diagnosis: Diagnosis | null = event.diagnosis === null ? null : {...event.diagnosis, steps: (event.diagnosis.steps ?? []).map(step)};
        const error = event.error === null ? null : {...event.error, message: masked(event.error.message, secrets)};
        return {...event, diagnosis, error};
    }
    }
}
