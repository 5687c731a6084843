/**
 * Where two JSON values first differ, as `ok.mail.size: 11718, expected 11722`; null where they don't. A whole mail in
 * base64 is no help in a log, so values are cut.
 */
export function firstDifference(got: unknown, expected: unknown, path = ''): string | null {
    if (isObject(got) && isObject(expected)) {
        for (const name of new Set([...Object.keys(expected), ...Object.keys(got)])) {
            const found = firstDifference(got[name], expected[name], path === '' ? name : `${path}.${name}`);
            if (found !== null) {
                return found;
            }
        }
        return Array.isArray(got) === Array.isArray(expected) ? null : `${path}: one is an array`;
    }
    return got === expected ? null : `${path}: ${show(got)}, expected ${show(expected)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === 'object' && value !== null;
}

function show(value: unknown): string {
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined ? 'nothing' : text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
