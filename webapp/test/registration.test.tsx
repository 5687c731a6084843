// @vitest-environment jsdom
// The bundle as it is built, in the stand-in for the host (host.tsx), with the host's React.
import {existsSync, readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';

import {fireEvent, render, screen} from '@testing-library/react';
import * as React from 'react';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';

import type {Registry} from '../src/plugin/announce';

import {definition, Host, nativeButton, settingsOf, type Setting} from './host';
import {Server, Stream} from './server';

const path = fileURLToPath(import.meta.url).replace(/test\/[^/]+$/, 'dist/plugin/main.js');
if (!existsSync(path)) {
    throw new Error('The bundle is not built. Run: build/webapp.sh');
}
const bundle = readFileSync(path, 'utf8');

// eslint-disable-next-line @typescript-eslint/no-implied-eval -- what a script tag does
const run = new Function(bundle) as () => void;

interface Plugin {
    initialize: (registry: Registry) => void;
    uninitialize: () => void;
}

/** Runs the bundle as a script tag would: what it throws, the host does not see. */
function load(): Plugin[] {
    const registered: Plugin[] = [];
    window.registerPlugin = (id, plugin) => {
        expect(id).toBe('postroom');
        registered.push(plugin);
    };
    try {
        run();
    } catch (error) {
        console.error('the bundle threw', error);
    }
    return registered;
}

function loaded(): {host: Host; changed: Setting[]} {
    const host = new Host();
    load()[0]?.initialize(host.registry);
    return {host, changed: settingsOf(host.changed())};
}

function setReact(value: PropertyDescriptor): void {
    Object.defineProperty(window, 'React', {configurable: true, ...value});
}

let complaints: unknown[][];
beforeEach(() => {
    setReact({value: React});
    complaints = [];
    vi.spyOn(console, 'error').mockImplementation((...args) => {
        complaints.push(args);
    });
});
afterEach(() => {
    delete (window as {React?: unknown}).React;
});

test('the bundle is at most 60 kB gzipped, and has no React of its own', () => {
    expect(gzipSync(bundle, {level: 9}).length).toBeLessThan(60_000);
    expect(bundle).not.toContain('__SECRET_INTERNALS');
});

describe('whatever fails, the plugin is registered', () => {
    test.each<[string, PropertyDescriptor]>([
        ['React is there', {value: React}],
        ['React is missing', {value: undefined}],
        ['React is something else', {value: {createElement: 'no'}}],
        ['React cannot even be asked for', {get: () => {
            throw new Error('no React for you');
        }}],
    ])('%s', (_, descriptor) => {
        setReact(descriptor);
        const plugins = load();
        expect(plugins.length).toBe(1);
        const host = new Host();
        plugins[0]?.initialize(host.registry);
        const button = settingsOf(host.changed()).find(({key}) => key === 'TestSmtpConnection');
        expect(button?.type).toBe(descriptor.value === React ? 'custom' : 'button');
        plugins[0]?.uninitialize();
    });

    test('without a document to look into', () => {
        vi.stubGlobal('document', undefined);
        expect(load().length).toBe(1);
    });

    test('with a registry that knows no console, or fails', () => {
        const [plugin] = load();
        plugin?.initialize({});
        plugin?.initialize({registerAdminConsolePlugin: () => {
            throw new Error('not today');
        }});
        expect(complaints.length).toBe(1);
    });

    test('with a host that takes no plugins', () => {
        delete window.registerPlugin;
        expect(run).not.toThrow();
    });
});

describe('the SMTP page\'s button', () => {
    test('is replaced by ours, and nothing else is', () => {
        const {changed} = loaded();
        const before = settingsOf(definition);
        expect(changed.map(({key}) => key)).toEqual(before.map(({key}) => key));
        expect(changed.filter(({key}) => key !== nativeButton.key)).toEqual(before.filter(({key}) => key !== nativeButton.key));
        const ours = changed.find(({key}) => key === nativeButton.key);
        expect(Object.keys(ours ?? {}).sort()).toEqual(['component', 'isDisabled', 'isHidden', 'key', 'label', 'type']);
        expect(ours?.label).toEqual(nativeButton.label);
        expect(ours?.isDisabled).toBe(nativeButton.isDisabled);
        expect(complaints).toEqual([]);
    });

    const without = {environment: {subsections: {smtp: {schema: {id: 'SMTP', settings: [{type: 'text', key: 'EmailSettings.SMTPServer'}]}}}}};
    const frozen = Object.freeze([nativeButton]);
    test.each<[string, unknown]>([
        ['the entry is missing', without],
        ['the list is no list', {environment: {subsections: {smtp: {schema: {settings: {}}}}}}],
        ['the list has odd entries', {environment: {subsections: {smtp: {schema: {settings: [null, 'x', 7, {}]}}}}}],
        ['the page is elsewhere', {notifications: {smtp: without.environment.subsections.smtp}}],
        ['a part is null', {environment: {subsections: null}}],
        ['there is nothing', {}],
    ])('stays as it is where %s', (_, shape) => {
        const {host} = loaded();
        expect(host.changed(shape)).toEqual(shape);
        expect(complaints).toEqual([]);
    });

    test('stays as it is where the definition may not be changed, and undefined is given back as it came', () => {
        const host = new Host();
        load()[0]?.initialize(host.registry);
        let change: (definition: unknown) => unknown = () => null;
        load()[0]?.initialize({registerAdminConsolePlugin: (given) => {
            change = given;
        }});
        const shape = {environment: {subsections: {smtp: {schema: {settings: frozen}}}}};
        expect(change(shape)).toBe(shape);
        expect(frozen[0]).toBe(nativeButton);
        expect(change(undefined)).toBeUndefined();
    });

    test('is hidden and disabled as the native one was', () => {
        const host = new Host();
        load()[0]?.initialize(host.registry);
        const seen: unknown[][] = [];
        const hidden = (...args: unknown[]): boolean => {
            seen.push(args);
            return true;
        };
        const shape = {environment: {subsections: {smtp: {schema: {settings: [{...nativeButton, isHidden: hidden}]}}}}};
        const [ours] = settingsOf(host.changed(shape));
        if (ours === undefined) {
            throw new Error('no entry');
        }
        expect(Host.show(ours, {}, {a: 1})).toBeNull();
        expect(seen).toEqual([[{}, {a: 1}, {IsLicensed: 'false'}, false]]);
        const [unhidden] = loaded().changed.filter(({key}) => key === nativeButton.key);
        render(Host.show(unhidden ?? nativeButton, {}, {'EmailSettings.SMTPServer': ''}));
        expect(screen.getByRole<HTMLButtonElement>('button', {name: 'Test Connection'}).disabled).toBe(true);
    });

    test('tests the unsaved form: what was typed over what is saved, each as it is saved', () => {
        const stream = new Stream();
        const server = new Server((asked) => stream.reply(asked));
        const ours = loaded().changed.find(({key}) => key === nativeButton.key) ?? nativeButton;
        const config = {EmailSettings: {SMTPServer: 'saved.example.com', SMTPPort: '25', SMTPPassword: '*'.repeat(32), EnableSMTPAuth: false, SMTPServerTimeout: 10, FeedbackEmail: 'a@example.com'}, ServiceSettings: {SiteURL: 'x'}};
        const {rerender} = render(Host.show(ours, config, {'EmailSettings.SMTPServer': 'saved.example.com'}));
        // Typed since, and rendered again by the host.
        rerender(Host.show(ours, config, {
            'EmailSettings.SMTPServer': 'typed.example.com', 'EmailSettings.SMTPPort': '587', 'EmailSettings.EnableSMTPAuth': true,
            'EmailSettings.SMTPServerTimeout': '30', 'EmailSettings.SMTPPassword': undefined, saveNeeded: true, 'ServiceSettings.SiteURL': 'y',
        }));
        fireEvent.click(screen.getByRole('button', {name: 'Test Connection'}));
        expect(server.one('/plugins/postroom/api/v1/connections/mattermost/test').body).toEqual({EmailSettings: {
            SMTPServer: 'typed.example.com', SMTPPort: '587', SMTPPassword: '*'.repeat(32), EnableSMTPAuth: true, SMTPServerTimeout: 30, FeedbackEmail: 'a@example.com',
        }});
        expect(screen.getByRole('button', {name: 'Cancel'})).toBeDefined();
        expect(complaints).toEqual([]);
    });

    test('without a saved configuration, the server takes its own', () => {
        const server = new Server((asked) => new Stream().reply(asked));
        const ours = loaded().changed.find(({key}) => key === nativeButton.key) ?? nativeButton;
        render(Host.show(ours, undefined, {}));
        fireEvent.click(screen.getByRole('button', {name: 'Test Connection'}));
        expect(server.one('/test').body).toBeUndefined();
    });
});
