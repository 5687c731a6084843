import {baseOfHost} from '../client/base';
import {Client} from '../client/client';
import {addStyle} from './style';
import type {Registry} from './announce';
import {Form} from './form';
import {testSmtp} from './TestSmtp';

/** The SMTP page's button in the host's definition of its console. */
const KEY = 'TestSmtpConnection';

type Predicate = (config: unknown, state: unknown, ...rest: unknown[]) => boolean;

interface Setting {
    type?: unknown;
    key?: unknown;
    label?: unknown;
    isDisabled?: unknown;
    isHidden?: unknown;
    [other: string]: unknown;
}

/** Puts our button in the place of Mattermost's own on its SMTP page. Where that has another shape, it stays. */
export function register(registry: Registry, scriptAddress: string): void {
    if (typeof registry.registerAdminConsolePlugin !== 'function') {
        return;
    }
    const form = new Form();
    const component = testSmtp(new Client(baseOfHost(scriptAddress)), form);
    registry.registerAdminConsolePlugin((definition) => {
        try {
            const settings = smtpSettings(definition);
            const at = settings?.findIndex((each) => isObject(each) && each.key === KEY) ?? -1;
            const original = settings?.[at];
            if (settings !== null && original !== undefined) {
                settings[at] = ours(original, component, form);
                addStyle();
            }
        } catch (error) {
            console.error('postroom:', error);
        }
        return definition; // whatever happened: the host shows what it is given back
    });
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === 'object' && value !== null;
}

/** `environment.subsections.smtp.schema.settings`; null where the definition has no such list. */
function smtpSettings(definition: unknown): Setting[] | null {
    let at: unknown = definition;
    for (const name of ['environment', 'subsections', 'smtp', 'schema', 'settings']) {
        at = isObject(at) ? at[name] : undefined;
    }
    return Array.isArray(at) ? at as Setting[] : null;
}

/** Only what a custom entry knows is taken over; the rest is the native button's. */
function ours(original: Setting, component: unknown, form: Form): Setting {
    const hidden = original.isHidden;
    const isHidden: Predicate = (config, state, ...rest) => {
        // The one place where a custom entry is shown the unsaved form.
        form.capture(state);
        return typeof hidden === 'function' ? (hidden as Predicate)(config, state, ...rest) : hidden === true;
    };
    return {type: 'custom', key: KEY, label: original.label, component, isDisabled: original.isDisabled, isHidden};
}
