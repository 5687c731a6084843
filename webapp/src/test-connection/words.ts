import type {Progress} from './progress';
import {isOn} from './progress';
import type {Step, StepState} from '../client/types';

/** Each step's name for an admin, in the order in which they may come. What a step *means* the core says. */
const STEPS: Record<string, string> = {
    dns: 'Name look-up',
    tcp: 'Connection',
    tls: 'TLS',
    greeting: 'Greeting',
    ehlo: 'EHLO',
    starttls: 'STARTTLS',
    auth: 'Login',
    mail_from: 'Sender',
    rcpt_to: 'Recipient',
    data: 'Message',
    queued: 'Accepted',
    spf: 'SPF',
    dkim: 'DKIM',
    dmarc: 'DMARC',
    mx: 'MX',
    ptr: 'Reverse look-up',
};

export const STATES: Record<StepState, string> = {ok: 'OK', warning: 'Warning', failed: 'Failed', skipped: 'Skipped'};

/** A step's name; one that a newer server has is shown as it calls it. */
export function nameOf(step: string): string {
    return STEPS[step] ?? step;
}

/** A state's word; what is no state of ours counts as one that says nothing. */
export function stateOf(step: Step): StepState {
    return step.state in STATES ? step.state : 'skipped';
}

/** A duration as people say it. */
export function durationOf(ms: number): string {
    return ms < 1000 ? `${String(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The test summed up in a sentence or two; "" before one. */
export function summaryOf(known: Progress): string {
    const failed = known.steps.find((step) => stateOf(step) === 'failed');
    const warnings = known.steps.filter((step) => stateOf(step) === 'warning').length;
    const warned = warnings === 0 ? '' : ` ${String(warnings)} ${warnings === 1 ? 'warning' : 'warnings'}: see below.`;
    switch (known.phase) {
    case 'idle':
        return '';
    case 'asked':
    case 'running':
        return known.cancelling ? 'Cancelling…' : 'Testing…';
    case 'cancelled':
        return known.sentTo === '' ? 'Cancelled.' : `Cancelled, but the test mail to ${known.sentTo} had left already.`;
    case 'broken':
        return 'The answer broke off before the test ended. What is shown is what had happened until then; whether the mail left is not known. Test again.';
    case 'refused':
        return known.error;
    case 'done':
        if (failed !== undefined) {
            return `Failed: ${nameOf(failed.step)}.${known.sentTo === '' ? ' No mail was sent.' : ` The test mail to ${known.sentTo} was sent all the same.`}`;
        }
        if (known.error !== '') {
            return known.error;
        }
        return known.sentTo === '' ? `The test ended.${warned}` : `The server accepted a test mail to ${known.sentTo}.${warned}`;
    }
}

/** What a screen reader is told as it happens: the newest step, then the end. */
export function announcementOf(known: Progress): string {
    const newest = known.steps.at(-1);
    if (!isOn(known.phase) || newest === undefined) {
        return summaryOf(known);
    }
    return `${nameOf(newest.step)}: ${STATES[stateOf(newest)]}.`;
}
