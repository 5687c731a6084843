import {useEffect, useRef, useState} from 'react';

import type {Client} from '../client/client';
import type {ConnectionName, Typed} from '../client/types';

import {isOn} from './progress';
import {Steps} from './Steps';
import {copyText, transcriptOf} from './transcript';
import {useTest} from './useTest';
import {announcementOf, summaryOf} from './words';

/** How long nothing may come before it is said that a proxy may hold the answer back. */
const SILENCE_MS = 8_000;

interface Props {
    client: Client;
    name: ConnectionName;

    /** What the connection is called where it is copied: "the primary connection". */
    what: string;

    /** The form as it stands when the button is pressed; null tests what is saved. */
    typed: () => Typed | null;
    disabled?: boolean;

    /** Classes of the host's for its buttons. */
    buttonClass?: string;
}

/** A button that tests a connection as it is typed, and what comes of it. */
export function TestConnection({client, name, what, typed, disabled = false, buttonClass = ''}: Props) {
    const {known, start, cancel} = useTest(client, name);
    const running = isOn(known.phase);
    const summary = summaryOf(known);
    return (
        <div className='postroom-test'>
            <div className='postroom-buttons'>
                {/* Not `disabled` while it runs: the focus would be lost with it. */}
                <button
                    type='button'
                    className={`postroom-button postroom-primary ${buttonClass}`}
                    disabled={disabled}
                    aria-disabled={running}
                    onClick={() => {
                        start(typed());
                    }}
                >
                    Test Connection
                </button>
                {running && (
                    <button
                        type='button'
                        className={`postroom-button ${buttonClass}`}
                        aria-disabled={known.cancelling}
                        onClick={() => {
                            if (!known.cancelling) {
                                cancel();
                            }
                        }}
                    >
                        Cancel
                    </button>
                )}
                {!running && known.steps.length > 0 && (
                    <Copy
                        buttonClass={buttonClass}
                        text={() => transcriptOf(known, what, new Date())}
                    />
                )}
            </div>
            <div
                role='status'
                aria-live='polite'
                className='postroom-unseen'
            >
                {announcementOf(known)}
            </div>
            {known.phase !== 'idle' && (
                <div
                    className='postroom-result'
                    data-phase={known.phase}
                >
                    <p className={`postroom-summary postroom-${toneOf(known.phase, known.steps.some(({state}) => state === 'failed'), known.error)}`}>
                        {running && <Elapsed/>}
                        {summary}
                    </p>
                    {known.queueID !== null && (
                        <p className='postroom-queue'>
                            {'Your server\'s log knows it as '}
                            <code>{known.queueID}</code>
                            {'.'}
                        </p>
                    )}
                    {known.notCancelled !== '' && <p className='postroom-summary postroom-failed'>{`It could not be cancelled: ${known.notCancelled}`}</p>}
                    {known.phase === 'asked' && <Silence/>}
                    <Steps steps={known.steps}/>
                </div>
            )}
        </div>
    );
}

function toneOf(phase: string, failed: boolean, error: string): string {
    if (phase === 'cancelled') {
        return 'skipped';
    }
    if (phase === 'refused' || phase === 'broken' || failed || error !== '') {
        return 'failed';
    }
    return phase === 'done' ? 'ok' : 'skipped';
}

/** How long it has taken so far: what a stalled server is seen by. */
function Elapsed() {
    const seconds = useSeconds();
    return (
        <span
            className='postroom-elapsed'
            aria-hidden='true'
        >
            {`${String(seconds)} s`}
        </span>
    );
}

function Silence() {
    const seconds = useSeconds();
    if (seconds * 1000 < SILENCE_MS) {
        return null;
    }
    return (
        <p className='postroom-note'>
            {'Nothing has come back yet. A proxy before Mattermost may hold the answer back until the test has ended (in nginx: proxy_buffering). The result then comes all at once, within a minute.'}
        </p>
    );
}

function useSeconds(): number {
    const [seconds, setSeconds] = useState(0);
    useEffect(() => {
        const begun = Date.now();
        const timer = setInterval(() => {
            setSeconds(Math.floor((Date.now() - begun) / 1000));
        }, 500);
        return () => {
            clearInterval(timer);
        };
    }, []);
    return seconds;
}

/** Copies the result; where the browser lets nobody, it is shown to be copied by hand. */
function Copy({text, buttonClass}: {text: () => string; buttonClass: string}) {
    const [copied, setCopied] = useState<boolean | null>(null);
    const [shown, setShown] = useState('');
    const field = useRef<HTMLTextAreaElement>(null);
    useEffect(() => {
        field.current?.select();
    }, [shown]);
    return (
        <>
            <button
                type='button'
                className={`postroom-button ${buttonClass}`}
                onClick={() => {
                    const copy = text();
                    void copyText(copy).then((done) => {
                        setCopied(done);
                        setShown(done ? '' : copy);
                    });
                }}
            >
                Copy as text
            </button>
            <span
                role='status'
                className='postroom-note'
            >
                {copied === true ? 'Copied.' : ''}
                {copied === false ? 'The browser does not let this page copy. Copy it from here:' : ''}
            </span>
            {shown !== '' && (
                <textarea
                    ref={field}
                    className='postroom-copy'
                    readOnly={true}
                    rows={10}
                    aria-label='The result as text'
                    value={shown}
                />
            )}
        </>
    );
}
