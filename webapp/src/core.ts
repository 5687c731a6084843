/**
 * The Rust core, as wasm-bindgen made it for Node (`make wasm`). In a browser the same module runs in a worker.
 */
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';

/** What the wasm-bindgen build exports (`wasm/web/src/lib.rs`): a request's text in, its reply's text out. */
interface Core {
    core_call(request: string): string;
}

const path = fileURLToPath(new URL('../../.build/web/nodejs/core.js', import.meta.url));

function load(): Core {
    try {
        return createRequire(import.meta.url)(path) as Core;
    } catch (cause) {
        throw new Error(`The core is not built for Node. Run: make wasm (looked for ${path})`, {cause});
    }
}

const core = load();

/**
 * Answers one request of `wasm/README.md`. Request and reply may hold secrets.
 *
 * @param request UTF-8 JSON `{op, now, entropy, args}`.
 * @returns UTF-8 JSON, `{ok}` or `{err: {code, field, detail}}`.
 */
export function call(request: string): string {
    return core.core_call(request);
}
