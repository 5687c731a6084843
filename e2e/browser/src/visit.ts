// How the tests look at a page: what it asks for, what the browser complains of, whether everybody can use it.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

import type {BrowserContextOptions, Page} from 'playwright-core';

import {screenshots, stage} from './stage.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Opens a context, records every request, and checks at the end that none left the origin and nothing was complained of. */
export async function visit(options: BrowserContextOptions, walk: (page: Page) => Promise<void>): Promise<void> {
    const context = await stage.browser.newContext(options);
    try {
        const page = await context.newPage();
        const requests: string[] = [];
        const complaints: string[] = [];
        page.on('request', (request) => requests.push(request.url()));
        page.on('console', (message) => {
            // A page with a status of 4xx is meant; the browser notes it all the same.
            if (message.type() === 'error' && !message.text().includes('status of 4')) {
                complaints.push(message.text());
            }
        });
        page.on('pageerror', (error) => complaints.push(String(error)));
        await walk(page);
        for (const url of requests.filter((each) => each.startsWith('http'))) {
            assert.equal(new URL(url).origin, new URL(stage.base).origin, `a request to a third party: ${url}`);
        }
        assert.deepEqual(complaints.filter((each) => !each.includes('favicon')), []);
    } finally {
        await context.close();
    }
}

export async function shoot(page: Page, name: string): Promise<void> {
    await page.screenshot({path: join(screenshots, `${name}.png`), fullPage: true});
}

interface Violation { id: string; help: string; nodes: Array<{html: string; failureSummary?: string}> }

/** axe-core finds nothing to complain of (WCAG 2.2 AA). */
export async function accessible(page: Page, what: string): Promise<void> {
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
        const {axe: loaded} = window as unknown as {axe: {run(context: Document, options: object): Promise<{violations: Violation[]}>}};
        const result = await loaded.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']});
        return result.violations.map(({id, help, nodes}) => ({id, help, nodes: nodes.map(({html, failureSummary}) => ({html, failureSummary}))}));
    });
    assert.deepEqual(violations, [], what);
}
