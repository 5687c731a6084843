import type {Progress} from './progress';
import {durationOf, nameOf, STATES, stateOf, summaryOf} from './words';

/** A test as plain text, for a ticket or a mail to whoever runs the server. Nothing that was typed as a secret is in it. */
export function transcriptOf(known: Progress, what: string, at: Date): string {
    const lines = [`Postroom: test of ${what}`, at.toISOString(), ''];
    for (const step of known.steps) {
        const took = step.ms === null ? '' : ` (${durationOf(step.ms)})`;
        lines.push(`${STATES[stateOf(step)].padEnd(8)} ${nameOf(step.step)}${took}`);
        lines.push(...indented(step.said, '         > '), ...indented(step.advice, '         '));
    }
    lines.push('', summaryOf(known));
    if (known.queueID !== null) {
        lines.push(`Queue id: ${known.queueID}`);
    }
    return `${lines.join('\n')}\n`;
}

function indented(text: string, before: string): string[] {
    return text === '' ? [] : text.split('\n').map((line) => before + line);
}

/**
 * Puts a text into the clipboard; false where the browser lets nobody. `navigator.clipboard` is there with https only,
 * so there is an older way beside it.
 */
export async function copyText(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const field = document.createElement('textarea');
        field.value = text;
        field.setAttribute('readonly', '');
        field.className = 'postroom-unseen';
        document.body.append(field);
        const focused = document.activeElement;
        try {
            field.select();
            // eslint-disable-next-line @typescript-eslint/no-deprecated -- what there is without https
            return document.execCommand('copy');
        } catch {
            return false;
        } finally {
            field.remove();
            if (focused instanceof HTMLElement) {
                focused.focus();
            }
        }
    }
}
