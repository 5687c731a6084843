import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {describe, expect, test} from 'vitest';

import {call} from '../src/core';
import {firstDifference} from './difference';

const fixtures = fileURLToPath(new URL('../../contract/fixtures', import.meta.url));
const contract = readFileSync(new URL('../../wasm/README.md', import.meta.url), 'utf8');

const operations = readdirSync(fixtures);
const requests = operations.flatMap((operation) =>
    readdirSync(join(fixtures, operation))
        .filter((file) => file.endsWith('.request.json'))
        .map((file) => `${operation}/${file.replace('.request.json', '')}`),
);

function read(name: string): string {
    return readFileSync(join(fixtures, name), 'utf8');
}

describe('the module for browsers answers as the contract says', () => {
    test.each(requests)('%s', (name) => {
        const reply: unknown = JSON.parse(call(read(`${name}.request.json`)));
        const expected: unknown = JSON.parse(read(`${name}.response.json`));
        expect(firstDifference(reply, expected)).toBeNull();
    });
});

test('a difference is found and named', () => {
    const check = (got: unknown, expected: unknown, found: string | null): void => {
        expect(firstDifference(got, expected)).toBe(found);
    };
    check({a: [1, {b: null}]}, {a: [1, {b: null}]}, null);
    check({a: [1, {b: 2}]}, {a: [1, {b: 3}]}, 'a.1.b: 2, expected 3');
    check({a: 1}, {}, 'a: 1, expected nothing');
    check({}, {a: null}, 'a: nothing, expected null');
    check([], {}, ': one is an array');
    check({a: '1'}, {a: 1}, 'a: "1", expected 1');
    check({a: 'x'.repeat(300)}, {a: ''}, `a: "${'x'.repeat(199)}…, expected ""`);
});

describe('the fixtures', () => {
    test('are many', () => {
        expect(requests.length).toBeGreaterThan(100);
    });

    test.each([...contract.matchAll(/^### `(\w+)`/gm)].map((found) => found[1] ?? ''))('show the operation %s', (operation) => {
        expect(existsSync(join(fixtures, operation))).toBe(true);
    });
});
