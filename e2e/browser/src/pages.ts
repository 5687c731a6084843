// The pages behind a link, as people meet them: in their language and colours, with a keyboard only, without
// JavaScript, on a phone; and as scanners meet them.
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import type {BrowserContextOptions, Page} from 'playwright-core';

import {stage} from './stage.js';
import {accessible, shoot, visit} from './visit.js';

const languages = {en: 'ltr', de: 'ltr', ja: 'ltr', fa: 'rtl'} as const;
const newPassword = 'Another-horse-2';

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
