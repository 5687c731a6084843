import manifest from '../../../plugin.json';

import {PLACEHOLDER, type ConnectionName, type Settings, type Typed} from '../client/types';

/** One setting in a connection's form. */
export interface Field {
    key: string;
    label: string;

    /** In the manifest's Markdown: `code` and *emphasis* only. */
    help: string;
    kind: 'text' | 'number' | 'flag' | 'choice' | 'long' | 'secret';
    options: Array<{label: string; value: string}>;
    placeholder: string;
    standard: unknown;

    /** Shown at once; the rest under "More settings". */
    first: boolean;
}

/** A setting as `plugin.json` has it (Mattermost's `model.PluginSetting`). */
interface Stated {
    key: string;
    display_name: string;
    type: string;
    help_text?: string;
    placeholder?: string;
    default?: unknown;
    secret?: boolean;
    options?: Array<{display_name: string; value: string}>;
}

interface Schema {
    settings?: Stated[];
    sections?: Array<{settings?: Stated[]}>;
}

const FIRST = ['Host', 'Port', 'Security', 'Auth', 'Username', 'Password'];

/** How much a connection may be used says nothing to a test. */
const NOT_TESTED = ['Connections', 'PerMinute'];

const KINDS: Record<string, Field['kind']> = {text: 'text', number: 'number', bool: 'flag', dropdown: 'choice', radio: 'choice', longtext: 'long'};

/** The fields of one of Postroom's own connections: what `plugin.json`, the one home of settings, has for it. */
function ownFields(prefix: string, schema: Schema): Field[] {
    const stated = [...schema.settings ?? [], ...(schema.sections ?? []).flatMap(({settings}) => settings ?? [])];
    return stated.filter(({key}) => key.startsWith(prefix) && !NOT_TESTED.includes(key.slice(prefix.length))).map((setting) => ({
        key: setting.key,
        label: setting.display_name.replace(/:\s*$/, ''),
        help: setting.help_text ?? '',
        kind: setting.secret === true ? 'secret' : KINDS[setting.type] ?? 'text',
        options: (setting.options ?? []).map(({display_name: label, value}) => ({label, value})),
        placeholder: setting.placeholder ?? '',
        standard: setting.default ?? '',
        first: FIRST.includes(setting.key.slice(prefix.length)),
    }));
}

function mattermostField(key: string, label: string, kind: Field['kind'], first: boolean, options: Field['options'] = [], help = ''): Field {
    return {key, label, help, kind, options, placeholder: '', standard: kind === 'flag' ? false : '', first};
}

/** Mattermost's own, by its own words. */
const MATTERMOST: Field[] = [
    mattermostField('SMTPServer', 'SMTP Server', 'text', true),
    mattermostField('SMTPPort', 'SMTP Server Port', 'text', true),
    mattermostField('ConnectionSecurity', 'Connection Security', 'choice', true, [
        {label: 'None', value: ''},
        {label: 'TLS (Recommended)', value: 'TLS'},
        {label: 'STARTTLS', value: 'STARTTLS'},
    ]),
    mattermostField('EnableSMTPAuth', 'Enable SMTP Authentication', 'flag', true),
    mattermostField('SMTPUsername', 'SMTP Server Username', 'text', true),
    mattermostField('SMTPPassword', 'SMTP Server Password', 'secret', true),
    mattermostField('SkipServerCertificateVerification', 'Skip Server Certificate Verification', 'flag', false),
    mattermostField('FeedbackEmail', 'Notification From Address', 'text', false),
    mattermostField('FeedbackName', 'Notification Display Name', 'text', false),
    mattermostField('ReplyToAddress', 'Notification Reply-To Address', 'text', false),
    mattermostField('SMTPServerTimeout', 'SMTP Server Timeout', 'number', false, [], 'In seconds.'),
];

/** The form of each connection. */
export function fieldsOf(name: ConnectionName, schema: Schema = manifest.settings_schema): Field[] {
    switch (name) {
    case 'mattermost':
        return MATTERMOST;
    case 'primary':
        return ownFields('Primary', schema);
    case 'fallback':
        return ownFields('Fallback', schema);
    }
}

/** A field's saved value, as a form shows it. A secret is never shown, only whether there is one. */
export function shown(field: Field, saved: Settings): string | boolean {
    const value = saved[field.key] ?? field.standard;
    switch (field.kind) {
    case 'secret':
        return '';
    case 'flag':
        return value === true || value === 'true';
    case 'number':
        return value === 0 || value === '0' ? '' : String(value);
    default:
        return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
    }
}

/** Whether a secret is saved for a field. */
export function hasSecret(field: Field, saved: Settings): boolean {
    const value = saved[field.key];
    return typeof value === 'string' && value !== '';
}

/**
 * What is to be tested: everything that is saved, and over it what was typed. What was not typed goes as it came, as the
 * saved password counts only while host, port and user are what they were.
 */
export function typedOf(name: ConnectionName, fields: Field[], saved: Settings, changes: Record<string, string | boolean>): Typed {
    const settings: Settings = {...saved};
    for (const field of fields) {
        const typed = changes[field.key];
        if (typed !== undefined) {
            settings[field.key] = field.kind === 'number' && typed !== '' ? Number(typed) : typed;
        } else if (field.kind === 'secret') {
            settings[field.key] = hasSecret(field, saved) ? PLACEHOLDER : '';
        } else if (saved[field.key] === undefined) {
            settings[field.key] = field.standard;
        }
    }
    return name === 'mattermost' ? {EmailSettings: settings} : {settings};
}
