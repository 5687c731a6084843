import {useEffect, useReducer, useRef} from 'react';

import type {Client} from '../client/client';
import {newID} from '../client/client';
import {RequestError} from '../client/request';
import type {ConnectionName, Typed} from '../client/types';

import {after, idle, type Happening, type Progress} from './progress';
import {maskedEvent, secretsIn} from './secrets';

/** How long a cancelled test may still tell its end before it is no longer listened to. */
const PATIENCE_MS = 5_000;

/** A test takes 60 s at most on the server; a stream that says nothing for longer than that is dead. */
const LONGEST_MS = 90_000;

const CANCEL_TRIES = 3;

export interface Test {
    known: Progress;
    start: (typed: Typed | null) => void;
    cancel: () => void;
}

/** One test at a time, from its asking to its end. Leaving the page breaks it off. */
export function useTest(client: Client, name: ConnectionName): Test {
    const [known, tell] = useReducer(after, idle);
    const current = useRef<{id: string; abort: AbortController} | null>(null);

    useEffect(() => () => {
        const left = current.current;
        if (left !== null) {
            current.current = null;
            void client.cancel(left.id).catch(() => undefined); // it ends by itself within a minute
            left.abort.abort();
        }
    }, [client]);

    const start = (typed: Typed | null): void => {
        if (current.current !== null) {
            return;
        }
        const mine = {id: newID(), abort: new AbortController()};
        current.current = mine;
        const secrets = secretsIn(typed);
        tell({event: 'asked'});

        const end = (how: Happening | null): void => {
            clearTimeout(tooLong);
            if (current.current === mine) {
                current.current = null;
                if (how !== null) {
                    tell(how);
                }
            }
        };
        const tooLong = setTimeout(() => {
            end({event: 'failed', error: new RequestError(0, 'No answer came. Check that Mattermost is reached, then test again.')});
            mine.abort.abort();
        }, LONGEST_MS);
        client.test(name, mine.id, typed, (event) => {
            if (current.current !== mine) {
                return;
            }
            if (event.event === 'begun') {
                mine.id = event.test;
            }
            tell(maskedEvent(event, secrets));
            if (event.event === 'done') {
                end(null); // whatever keeps the stream open, the test is over
            }
        }, mine.abort.signal).then(() => {
            end({event: 'ended'});
        }, (error: unknown) => {
            end({event: 'failed', error});
        });
    };

    const cancel = (): void => {
        const mine = current.current;
        if (mine === null) {
            return;
        }
        const isMine = (): boolean => current.current === mine;
        tell({event: 'cancelling'});
        cancelOnceKnown(client, () => mine.id, isMine).then(() => {
            // Its end comes through the stream, unless something holds that back.
            setTimeout(() => {
                if (isMine()) {
                    current.current = null;
                    mine.abort.abort();
                    tell({event: 'left'});
                }
            }, PATIENCE_MS);
        }, (error: unknown) => {
            if (isMine()) {
                tell({event: 'not-cancelled', error});
            }
        });
    };

    return {known, start, cancel};
}

/** Cancels a test that the server may not have heard of yet, as both requests are on their way. */
async function cancelOnceKnown(client: Client, id: () => string, isMine: () => boolean): Promise<void> {
    for (let tries = 1; ; tries++) {
        try {
            await client.cancel(id());
            return;
        } catch (error) {
            const unknown = error instanceof RequestError && error.status === 404;
            if (!unknown || tries === CANCEL_TRIES || !isMine()) {
                throw error;
            }
        }
        await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
}
