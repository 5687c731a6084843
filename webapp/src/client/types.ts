/** The shapes of the plugin's API, as `wasm/README.md` and `server/internal/core` have them. */

/** A connection's name in the API. */
export type ConnectionName = 'mattermost' | 'primary' | 'fallback';

/** A step's state. Words and icons for each are in `test-connection/words.ts`. */
export type StepState = 'ok' | 'warning' | 'failed' | 'skipped';

/** One line of a diagnosis. `said` are the peer's words, `advice` is what to change; both may be empty. */
export interface Step {
    step: string;
    state: StepState;

    /** Null where it took no time of its own. */
    ms: number | null;
    said: string;
    advice: string;
    cause: string | null;
}

/** What a test found. `sent_to` is empty where no mail left. */
export interface Diagnosis {
    /** Null or empty where none was made. */
    steps: Step[] | null;
    sent_to: string;
    queue_id: string | null;
}

/** Mattermost's shape of an error. */
export interface AppError {
    id: string;
    message: string;
    detailed_error?: string;
    status_code?: number;
}

/** What a test tells while it runs. */
export type TestEvent =
    | {event: 'begun'; test: string}
    | {event: 'step'; step: Step}
    | {event: 'done'; diagnosis: Diagnosis | null; error: AppError | null; cancelled: boolean};

/** What is to be tested: the unsaved form. Mattermost's own connection takes `EmailSettings`, ours take `settings`. */
export type Typed = {EmailSettings: Settings} | {settings: Settings};

/** Settings by name. */
export type Settings = Record<string, unknown>;

/** A connection as `GET /api/v1/connections` lists it. No secret is among it. */
export interface Connection {
    name: ConnectionName;
    server: string;
    port: number;
    security: string;
    auth: string[];
    username: string;
    password_set: boolean;
    state: 'ok' | 'paused' | 'failing' | 'unused';
    since?: string | number | null;
    reason?: string;
    active?: boolean;
}

/** The answer of `GET /api/v1/connections`: `settings` are the plugin's saved ones, secrets as `PLACEHOLDER`. */
export interface Connections {
    connections: Connection[];
    settings: Settings;

    /** Settings that an environment variable sets, whatever is typed. */
    fixed?: string[] | null;

    /** Settings that can't be used, and what to do. */
    problems?: Array<{field: string; mend: string}> | null;
}

/** What Mattermost and we show in place of a saved secret (`model.FakeSetting`). */
export const PLACEHOLDER = '*'.repeat(32);
