import type {ComponentType, ReactElement} from 'react';

import type {Registry} from '../src/plugin/announce';

/**
 * A stand-in for Mattermost's web app, which the Go module of the server has not. It stands for what was measured on the
 * real one, 11.4 (`shared/mattermost_facts.md`, "The web app"):
 *
 * - `registerAdminConsolePlugin(fn)` keeps `fn`, and calls it later, with a clone of the console's definition, whose
 *   change it takes from what is given back;
 * - the SMTP page's settings are `environment.subsections.smtp.schema.settings`, its button the entry with the key
 *   `TestSmtpConnection`;
 * - an entry of the type `custom` is rendered by its `component` with `config` (the *saved* configuration), `disabled`
 *   and more, unless `isHidden(config, state, license, …)` says so; `state` is the unsaved form, by keys such as
 *   `EmailSettings.SMTPServer`.
 */
export interface Setting {
    type: string;
    key?: string;
    label?: unknown;
    component?: ComponentType<Record<string, unknown>>;
    isDisabled?: unknown;
    isHidden?: unknown;
    [other: string]: unknown;
}

const text = (name: string): Setting => ({type: 'text', key: `EmailSettings.${name}`, label: name});

export const nativeButton: Setting = {
    type: 'button',
    action: () => undefined,
    key: 'TestSmtpConnection',
    label: {id: 'admin.environment.smtp.connectionSmtpTest', defaultMessage: 'Test Connection'},
    loading: 'Testing...',
    isDisabled: (_config: unknown, state: Record<string, unknown>) => state['EmailSettings.SMTPServer'] === '',
    isHidden: undefined,
};

export const definition = {
    environment: {
        subsections: {
            smtp: {
                url: 'environment/smtp',
                schema: {id: 'SMTP', settings: [text('SMTPServer'), text('SMTPPort'), nativeButton, text('SMTPServerTimeout')]},
            },
        },
    },
};

export class Host {
    private readonly changes: Array<(definition: unknown) => unknown> = [];
    readonly registry: Registry = {
        registerAdminConsolePlugin: (change) => this.changes.push(change),
    };

    /** The definition as the console then has it. */
    changed(from: unknown = definition): unknown {
        return this.changes.reduce((known, change) => change(known), clone(from));
    }

    /** The SMTP page's entry as the console would show it with a form; null where it is hidden. */
    static show(setting: Setting, config: unknown, state: Record<string, unknown>): ReactElement | null {
        const ask = (predicate: unknown): boolean => (typeof predicate === 'function' ? (predicate as (...args: unknown[]) => boolean)(config, state, {IsLicensed: 'false'}, false) : predicate === true);
        if (setting.type !== 'custom' || setting.component === undefined || ask(setting.isHidden)) {
            return null;
        }
        const Component = setting.component;
        return (
            <Component
                id={setting.key}
                label='Test Connection'
                value={undefined}
                disabled={ask(setting.isDisabled)}
                config={config}
                license={{IsLicensed: 'false'}}
                setByEnv={false}
                onChange={() => undefined}
            />
        );
    }
}

/** The definition has functions in it, which the host's own clone keeps. */
function clone(value: unknown): unknown {
    if (Array.isArray(value)) {
        return value.map(clone);
    }
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, clone(each)])) : value;
}

/** The SMTP page's settings in a definition. */
export function settingsOf(of: unknown): Setting[] {
    return (of as typeof definition).environment.subsections.smtp.schema.settings;
}
