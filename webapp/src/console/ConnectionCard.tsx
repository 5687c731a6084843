import {useState} from 'react';

import type {Client} from '../client/client';
import type {Connection, ConnectionName, Settings} from '../client/types';
import {TestConnection} from '../test-connection/TestConnection';

import {FieldInput} from './FieldInput';
import {fieldsOf, hasSecret, shown, typedOf, type Field} from './fields';

interface Props {
    client: Client;
    name: ConnectionName;
    title: string;

    /** Where its settings are saved: words, and an address. */
    savedAt: {label: string; address: string};

    /** What is known of it; null where nothing is. */
    connection: Connection | null;
    saved: Settings;

    /** Settings that an environment variable sets. */
    fixed: string[];

    /** Settings that can't be used as they are saved, and what to do. */
    problems: Array<{field: string; mend: string}>;
}

const STATES: Record<Connection['state'], string> = {ok: 'Working', paused: 'Paused', failing: 'Failing', unused: 'Not in use'};

/** A connection: how it stands, a form of its settings to try out, and the test. */
export function ConnectionCard({client, name, title, savedAt, connection, saved, fixed, problems}: Props) {
    const [changes, setChanges] = useState<Record<string, string | boolean>>({});
    const fields = fieldsOf(name);
    const changed = Object.keys(changes).length > 0;
    const inputs = (some: Field[]) => (
        <div className='console-fields'>
            {some.map((field) => (
                <FieldInput
                    key={field.key}
                    field={field}
                    value={changes[field.key] ?? shown(field, saved)}
                    fixed={fixed.includes(field.key)}
                    problem={problems.find(({field: key}) => key === field.key)?.mend ?? ''}
                    saved={field.kind === 'secret' && hasSecret(field, saved)}
                    change={(value) => {
                        setChanges((before) => withChange(before, field, value, saved));
                    }}
                />
            ))}
        </div>
    );
    const more = fields.filter(({first}) => !first);
    return (
        <section
            className='console-card postroom'
            aria-labelledby={`${name}-title`}
            data-connection={name}
        >
            <h2 id={`${name}-title`}>{title}</h2>
            <Facts connection={connection}/>
            <form
                aria-labelledby={`${name}-title`}
                noValidate={true}
                onSubmit={(event) => {
                    event.preventDefault();
                }}
            >
                {inputs(fields.filter(({first}) => first))}
                {more.length > 0 && (
                    <details>
                        <summary>More settings</summary>
                        {inputs(more)}
                    </details>
                )}
            </form>
            <p className='console-facts'>
                {changed ? <strong>{'Tested as typed, and not saved. '}</strong> : 'Type to try other settings: nothing here is saved. '}
                <a href={savedAt.address}>{savedAt.label}</a>
            </p>
            <TestConnection
                client={client}
                name={name}
                what={title}
                typed={() => typedOf(name, fields, saved, changes)}
            />
        </section>
    );
}

/** A value typed back to what is saved is no change. */
function withChange(before: Record<string, string | boolean>, field: Field, value: string | boolean, saved: Settings): Record<string, string | boolean> {
    const rest = Object.fromEntries(Object.entries(before).filter(([key]) => key !== field.key));
    return value === shown(field, saved) ? rest : {...rest, [field.key]: value};
}

function Facts({connection}: {connection: Connection | null}) {
    if (connection === null || connection.server === '') {
        return <p className='console-facts'>{'Not set up.'}</p>;
    }
    const security = {none: 'no encryption', starttls: 'STARTTLS', tls: 'TLS'}[connection.security] ?? connection.security;
    return (
        <p className='console-facts'>
            <span className={`console-badge ${connection.state === 'ok' || connection.state === 'unused' ? '' : 'postroom-failed'}`}>{STATES[connection.state]}</span>
            {` ${connection.server}:${String(connection.port)}, ${security}`}
            {connection.username === '' ? '' : `, as ${connection.username}`}
            {connection.active === true ? '. Mail goes through it.' : '.'}
            {connection.reason !== undefined && connection.reason !== '' ? <>{' '}<strong>{connection.reason}</strong></> : null}
        </p>
    );
}
