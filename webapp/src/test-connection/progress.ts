import {RequestError} from '../client/request';
import type {Step, TestEvent} from '../client/types';

/** How far a test is. */
export type Phase =
    | 'idle'

    /** Asked for, and nothing has come back yet. */
    | 'asked'
    | 'running'
    | 'done'
    | 'cancelled'

    /** The answer ended, or was cut off, before the test did: what is known is shown, the rest is not known. */
    | 'broken'

    /** It was refused, or could not be asked for. */
    | 'refused';

/** What is known of a test. Nothing secret is in it: whoever fills it has masked what was typed. */
export interface Progress {
    phase: Phase;
    steps: Step[];
    sentTo: string;
    queueID: string | null;

    /** In words for an admin; "" where nothing went wrong beside what the steps say. */
    error: string;
    cancelling: boolean;

    /** What a cancellation that failed says; "" for none. */
    notCancelled: string;
}

export const idle: Progress = {phase: 'idle', steps: [], sentTo: '', queueID: null, error: '', cancelling: false, notCancelled: ''};

export type Happening =
    | TestEvent
    | {event: 'asked'}

    /** The stream's end, whether or not `done` came before. */
    | {event: 'ended'}
    | {event: 'failed'; error: unknown}
    | {event: 'cancelling'}
    | {event: 'not-cancelled'; error: unknown}

    /** The person who asked has waited no longer: the answer is not read any more. */
    | {event: 'left'};

/** Whether a test goes on. */
export function isOn(phase: Phase): boolean {
    return phase === 'asked' || phase === 'running';
}

/** What is known after something happened. A step that comes again takes its own place. */
export function after(known: Progress, happening: Happening): Progress {
    switch (happening.event) {
    case 'asked':
        return {...idle, phase: 'asked'};
    case 'begun':
        return {...known, phase: 'running'};
    case 'step':
        return {...known, phase: 'running', steps: withStep(known.steps, happening.step)};
    case 'done': {
        // Where the server's own error ended it, no steps come with that: those that were told are what is known.
        const told = happening.diagnosis?.steps ?? [];
        const steps = told.length > 0 ? told : known.steps;
        return {
            ...known,
            phase: happening.cancelled ? 'cancelled' : 'done',
            steps,
            sentTo: happening.diagnosis?.sent_to ?? '',
            queueID: happening.diagnosis?.queue_id ?? null,

            // A step that failed says it better than the error that sums it up.
            error: happening.error === null || steps.some(({state}) => state === 'failed') ? '' : happening.error.message,
            cancelling: false,
            notCancelled: '',
        };
    }
    case 'ended':
        return isOn(known.phase) ? {...known, phase: 'broken', cancelling: false} : known;
    case 'failed':
        if (!isOn(known.phase)) {
            return known;
        }
        return known.phase === 'running' ?
            {...known, phase: 'broken', cancelling: false} :
            {...known, phase: 'refused', error: messageOf(happening.error), cancelling: false};
    case 'cancelling':
        return {...known, cancelling: true, notCancelled: ''};
    case 'not-cancelled':
        return isOn(known.phase) ? {...known, cancelling: false, notCancelled: messageOf(happening.error)} : known;
    case 'left':
        return isOn(known.phase) ? {...known, phase: 'cancelled', cancelling: false} : known;
    }
}

function withStep(steps: Step[], step: Step): Step[] {
    const at = steps.findIndex((each) => each.step === step.step);
    return at < 0 ? [...steps, step] : steps.map((each, i) => (i === at ? step : each));
}

function messageOf(error: unknown): string {
    return error instanceof RequestError ? error.message : 'Something in this page went wrong. Load it again.';
}
