/**
 * Imported first, and alone: Mattermost's web app waits for every enabled plugin's bundle to call `registerPlugin`, and
 * hangs for everybody where one does not. So that is done before anything that could fail has run.
 */

/** What of the host's registry is used (`webapp/channels/src/plugins/registry.ts`). */
export interface Registry {
    registerAdminConsolePlugin?: (change: (definition: unknown) => unknown) => unknown;
}

declare global {
    interface Window {
        registerPlugin?: (id: string, plugin: {initialize: (registry: Registry) => void; uninitialize: () => void}) => void;
    }
}

let start: ((registry: Registry) => void) | null = null;

/** Says what is to be done once the host initializes the plugin. */
export function whenInitialized(then: (registry: Registry) => void): void {
    start = then;
}

/** What goes wrong here must not become the host's trouble; the browser's console tells it. */
export function guarded(run: () => void): void {
    try {
        run();
    } catch (error) {
        console.error('postroom:', error);
    }
}

guarded(() => {
    window.registerPlugin?.('postroom', {
        initialize: (registry) => {
            guarded(() => start?.(registry));
        },
        uninitialize: () => undefined,
    });
});

/** The bundle's address, which is told only while it runs; "" where it is not known. */
export let scriptAddress = '';
guarded(() => {
    scriptAddress = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : '';
});
