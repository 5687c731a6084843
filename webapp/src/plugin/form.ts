import type {Settings, Typed} from '../client/types';

const SECTION = 'EmailSettings.';

/** The SMTP page's form as it stands, saved or not. */
export class Form {
    private state: Settings = {};

    /** Keeps the state that the host passes on at each rendering. */
    capture(state: unknown): void {
        if (typeof state === 'object' && state !== null) {
            this.state = state as Settings;
        }
    }

    /**
     * What is to be tested: the saved EmailSettings, and over them what the form has. Null where no saved ones are
     * known: the server then takes its own, as the native button has it.
     */
    typed(config: unknown): Typed | null {
        const saved = (config as {EmailSettings?: Settings} | null | undefined)?.EmailSettings;
        if (typeof saved !== 'object') {
            return null;
        }
        const settings: Settings = {...saved};
        for (const [name, value] of Object.entries(this.state)) {
            if (name.startsWith(SECTION) && value !== undefined) {
                const own = name.slice(SECTION.length);
                settings[own] = likeSaved(value, saved[own]);
            }
        }
        return {EmailSettings: settings};
    }
}

/** A form's fields are texts; the server wants each setting as it is saved. What can't be made so goes as it is. */
export function likeSaved(value: unknown, saved: unknown): unknown {
    if (typeof saved === 'number' && typeof value === 'string' && /^\s*\d+\s*$/.test(value)) {
        return Number(value);
    }
    if (typeof saved === 'boolean' && (value === 'true' || value === 'false')) {
        return value === 'true';
    }
    if (typeof saved === 'string' && typeof value === 'number') {
        return String(value);
    }
    return value;
}
