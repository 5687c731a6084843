import {useEffect, useState} from 'react';

import type {Client} from '../client/client';
import {RequestError} from '../client/request';
import type {ConnectionName, Connections as Listed, Settings} from '../client/types';

import {ConnectionCard} from './ConnectionCard';

interface Known {
    /** Null where it could not be asked; `error` says why. */
    listed: Listed | null;
    emailSettings: Settings | null;
    error: string;
}

/** The connections' page: one card for each. */
export function Connections({client, base}: {client: Client; base: string}) {
    const [known, setKnown] = useState<Known | null>(null);
    useEffect(() => {
        let left = false;
        void load(client).then((loaded) => {
            if (!left) {
                setKnown(loaded);
            }
        });
        return () => {
            left = true;
        };
    }, [client]);
    if (known === null) {
        return <p>{'Loading…'}</p>;
    }
    const ours = {label: 'Change them under Plugins > Postroom', address: `${base}/admin_console/plugins/plugin_postroom`};
    const theirs = {label: 'Change them under Environment > SMTP', address: `${base}/admin_console/environment/smtp`};
    const card = (name: ConnectionName, title: string, savedAt: typeof ours, saved: Settings) => (
        <ConnectionCard
            client={client}
            name={name}
            title={title}
            savedAt={savedAt}
            connection={known.listed?.connections.find((each) => each.name === name) ?? null}
            saved={saved}
            fixed={name === 'mattermost' ? [] : known.listed?.fixed ?? []}
            problems={name === 'mattermost' ? [] : known.listed?.problems ?? []}
        />
    );
    return (
        <>
            <p>{'A test connects as typed, sends a mail to your own address, and shows each step as it happens.'}</p>
            {known.error !== '' && <p role='alert'>{known.error}</p>}
            {known.listed !== null && card('primary', 'Primary connection', ours, known.listed.settings)}
            {known.listed !== null && card('fallback', 'Fallback connection', ours, known.listed.settings)}
            {known.emailSettings !== null && card('mattermost', 'Mattermost\'s SMTP server', theirs, known.emailSettings)}
        </>
    );
}

/** What can be asked; one that can't be does not hide the other. */
async function load(client: Client): Promise<Known> {
    const [listed, emailSettings] = await Promise.allSettled([client.connections(), client.emailSettings()]);
    const wrong = [listed, emailSettings].find((each) => each.status === 'rejected');
    return {
        listed: listed.status === 'fulfilled' ? listed.value : null,
        emailSettings: emailSettings.status === 'fulfilled' ? emailSettings.value : null,
        error: wrong === undefined ? '' : wordsOf(wrong.reason),
    };
}

function wordsOf(reason: unknown): string {
    return reason instanceof RequestError ? reason.message : 'Something in this page went wrong. Load it again.';
}
