// The pages behind a link, as people meet them: in their language and colours, with a keyboard only, without
// JavaScript, on a phone; and as scanners meet them.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';

import type {BrowserContextOptions, Page} from 'playwright-core';

import {screenshots, Stage} from './stage.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const languages = {en: 'ltr', de: 'ltr', ja: 'ltr', fa: 'rtl'} as const;
const newPassword = 'Another-horse-2';

let stage: Stage;
before(async () => { stage = await Stage.open(); });
after(async () => { await stage.close(); });

/** Opens a context, records every request, and checks at the end that none left the origin and nothing was complained of. */
async function visit(options: BrowserContextOptions, walk: (page: Page) => Promise<void>): Promise<void> {
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

async function shoot(page: Page, name: string): Promise<void> {
    await page.screenshot({path: join(screenshots, `${name}.png`), fullPage: true});
}

interface Violation { id: string; help: string; nodes: Array<{html: string; failureSummary?: string}> }

/** axe-core finds nothing to complain of (WCAG 2.2 AA). */
async function accessible(page: Page, what: string): Promise<void> {
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
        const {axe: loaded} = window as unknown as {axe: {run(context: Document, options: object): Promise<{violations: Violation[]}>}};
        const result = await loaded.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']});
        return result.violations.map(({id, help, nodes}) => ({id, help, nodes: nodes.map(({html, failureSummary}) => ({html, failureSummary}))}));
    });
    assert.deepEqual(violations, [], what);
}

const heading = async (page: Page): Promise<string> => (await page.locator('h1').innerText()).trim();

describe('languages and colours', () => {
    for (const [language, direction] of Object.entries(languages)) {
        for (const colorScheme of ['light', 'dark'] as const) {
            test(`${language}, ${colorScheme}`, async () => {
                const account = await stage.account('reset', language);
                const verification = await stage.account('verify', language);
                await visit({colorScheme, locale: language, viewport: {width: 1000, height: 760}}, async (page) => {
                    await page.goto(account.link);
                    assert.equal(await page.getAttribute('html', 'lang'), language);
                    assert.equal(await page.getAttribute('html', 'dir'), direction);
                    await accessible(page, 'the form');
                    await shoot(page, `reset-form-${language}-${colorScheme}`);

                    await page.fill('#new_password', 'short');
                    await page.fill('#confirm_password', 'short');
                    await page.click('button[type=submit]');
                    assert.match(await page.locator('[role=alert]').innerText(), /8|۸/);
                    await accessible(page, 'the form after a refusal');
                    await shoot(page, `reset-refused-${language}-${colorScheme}`);

                    await page.fill('#new_password', newPassword);
                    await page.fill('#confirm_password', newPassword);
                    await page.click('button[type=submit]');
                    assert.ok(await page.locator(`a[href^="${stage.base}/login"]`).isVisible());
                    await accessible(page, 'the end');
                    await shoot(page, `reset-done-${language}-${colorScheme}`);

                    await page.goto(account.link);
                    assert.equal(await page.locator('form').count(), 0);
                    await accessible(page, 'the used link');
                    await shoot(page, `reset-used-${language}-${colorScheme}`);

                    await page.goto(verification.link);
                    await accessible(page, 'the verification');
                    await shoot(page, `verify-form-${language}-${colorScheme}`);
                    await page.click('button[type=submit]');
                    await accessible(page, 'the verification done');
                    await shoot(page, `verify-done-${language}-${colorScheme}`);
                });
                assert.ok(await stage.canLogIn(account.username, newPassword));
                assert.ok(!await stage.canLogIn(account.username, account.password));
            });
            test(`the mail, ${language}, ${colorScheme}`, async () => {
                const account = await stage.account('reset', language);
                await visit({colorScheme, viewport: {width: 700, height: 900}}, async (page) => {
                    await page.setContent(account.html);
                    await shoot(page, `mail-reset-${language}-${colorScheme}`);
                });
            });
        }
    }
});

test('with a keyboard only', async () => {
    const account = await stage.account('reset', 'en');
    await visit({}, async (page) => {
        await page.goto(account.link);
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement?.id), 'new_password');
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineWidth);
        assert.notEqual(outline, '0px', 'the focus can be seen');
        await page.keyboard.type(newPassword);
        await page.keyboard.press('Tab');
        await page.keyboard.type('something-else-1');
        await page.keyboard.press('Enter');
        await page.locator('[role=alert]').waitFor();
        assert.equal(await page.evaluate(() => document.activeElement?.id), 'new_password', 'after a refusal the focus is where it is needed');
        await page.keyboard.type(newPassword);
        await page.keyboard.press('Tab');
        await page.keyboard.type(newPassword);
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'BUTTON');
        await page.keyboard.press('Enter');
        await page.locator('a').first().waitFor();
        await page.keyboard.press('Tab');
        assert.match(await page.evaluate(() => (document.activeElement as HTMLAnchorElement).href), /\/login/);
    });
    assert.ok(await stage.canLogIn(account.username, newPassword));
});

test('without JavaScript', async () => {
    const account = await stage.account('reset', 'en');
    await visit({javaScriptEnabled: false}, async (page) => {
        await page.goto(account.link);
        await page.fill('#new_password', newPassword);
        await page.fill('#confirm_password', newPassword);
        await page.click('button[type=submit]');
        assert.match(await heading(page), /has been changed/);
    });
    assert.ok(await stage.canLogIn(account.username, newPassword));
});

test('a scanner that runs scripts and waits redeems nothing', async () => {
    for (const kind of ['reset', 'verify'] as const) {
        const account = await stage.account(kind, 'en');
        await visit({}, async (page) => {
            await page.goto(account.link, {waitUntil: 'networkidle'});
            await page.mouse.move(200, 200);
            await page.waitForTimeout(4000);
            await page.reload();
            assert.equal(await page.locator('form').count(), 1, 'the link still works');
            if (kind === 'reset') {
                await page.fill('#new_password', newPassword);
                await page.fill('#confirm_password', newPassword);
            }
            await page.click('button[type=submit]');
            assert.equal(await page.locator('form').count(), 0);
        });
    }
});

test('on a phone, and with forced colours', async () => {
    const account = await stage.account('reset', 'de');
    for (const [name, options] of Object.entries({
        phone: {viewport: {width: 320, height: 640}, deviceScaleFactor: 2, isMobile: true, hasTouch: true},
        forced: {viewport: {width: 700, height: 640}, forcedColors: 'active'},
    } satisfies Record<string, BrowserContextOptions>)) {
        await visit(options, async (page) => {
            await page.goto(account.link);
            const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(wider <= 0, `the page is ${wider} px wider than the window`);
            const button = await page.locator('button[type=submit]').boundingBox();
            assert.ok(button !== null && button.height >= 44);
            await shoot(page, `reset-form-${name}`);
        });
    }
});

test('what does not work says so', async () => {
    await visit({locale: 'en'}, async (page) => {
        for (const [name, path] of Object.entries({
            'unknown': `/plugins/postroom/reset?token=${'A'.repeat(43)}`,
            'cut': '/plugins/postroom/verify?token=abc',
            'nothing': '/plugins/postroom/nothing-here',
        })) {
            await page.goto(stage.base + path);
            assert.equal(await page.locator('form').count(), 0);
            await accessible(page, name);
            await shoot(page, `error-${name}`);
        }
    });
});
