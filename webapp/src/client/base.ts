/**
 * Where the server is. Mattermost may live under a path (`https://example.com/chat`), and nothing that a bundle is
 * told says so everywhere, so the base is read off the address that something of ours was loaded from.
 */

/** The path before `mark` in a URL, without a slash at its end; null where the mark is not in it. */
function before(address: string, mark: string): string | null {
    let path: string;
    try {
        path = new URL(address, window.location.href).pathname;
    } catch {
        return null;
    }
    const at = path.indexOf(mark);
    return at < 0 ? null : path.slice(0, at);
}

/** The base of a page of the plugin's own: what comes before `/plugins/postroom/`. */
export function baseOfPage(page: string): string {
    return before(page, '/plugins/postroom/') ?? '';
}

/**
 * The base within Mattermost's own pages.
 *
 * @param script the bundle's address (`document.currentScript.src`, there only while it runs), "" where not known.
 */
export function baseOfHost(script: string): string {
    // The bundle may come from another origin (a CDN), whose paths say nothing of ours.
    const sameOrigin = script !== '' && new URL(script, window.location.href).origin === window.location.origin;
    const found = sameOrigin ? before(script, '/static/plugins/') : null;
    const told = (window as {basename?: unknown}).basename;
    return found ?? (typeof told === 'string' ? told.replace(/\/+$/, '') : '');
}
