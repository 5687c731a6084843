// The console's page on a real server: who may see it, and a connection tested as it is typed.
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import type {BrowserContextOptions, Locator, Page} from 'playwright-core';

import {deadPort, Peer} from './peers.js';
import {stage, type Login} from './stage.js';
import {accessible, shoot, visit} from './visit.js';

const path = '/plugins/postroom/console';

/** As long as a test of a connection may take, and a little. */
const ENDED = {timeout: 75_000};

async function logIn(page: Page, {username, password}: Login): Promise<void> {
    const reply = await page.request.post(`${stage.base}/api/v4/users/login`, {
        data: {login_id: username, password},
        headers: {'X-Requested-With': 'XMLHttpRequest'}, // without it a login gives no cookies
    });
    assert.equal(reply.status(), 200);
}

/** The page as the admin, with one connection's card. */
async function asAdmin(options: BrowserContextOptions, walk: (page: Page, card: Locator) => Promise<void>): Promise<void> {
    await visit(options, async (page) => {
        await logIn(page, stage.admin);
        const reply = await page.goto(stage.base + path);
        assert.equal(reply?.status(), 200);
        assert.match(reply.headers()['content-security-policy'] ?? '', /script-src 'self'/);
        const card = page.locator('[data-connection=primary]');
        await card.waitFor();
        await walk(page, card);
    });
}

const begin = (card: Locator): Promise<void> => card.getByRole('button', {name: 'Test Connection'}).click();
const phase = (card: Locator, is: string): Promise<void> => card.locator(`.postroom-result[data-phase=${is}]`).waitFor(ENDED);

/** The steps on the screen, by name and state. */
async function steps(card: Locator): Promise<Record<string, string>> {
    const found = await card.locator('[data-step]').evaluateAll((items) => items.map((item) => [item.getAttribute('data-step'), item.getAttribute('data-state')]));
    return Object.fromEntries(found) as Record<string, string>;
}

describe('the console', () => {
    test('is for system admins: a user is told so', async () => {
        const account = await stage.account('reset', 'en');
        await visit({locale: 'en'}, async (page) => {
            await logIn(page, account);
            const reply = await page.goto(stage.base + path);
            assert.equal(reply?.status(), 403);
            assert.equal(await page.locator('script, form').count(), 0);
            await accessible(page, 'a user');
            await shoot(page, 'console-user');
            const asked = await page.request.get(`${stage.base}/plugins/postroom/api/v1/connections`);
            assert.equal(asked.status(), 403);
        });
    });

    test('logged out, there is a way to log in and back', async () => {
        await visit({locale: 'en'}, async (page) => {
            const reply = await page.goto(stage.base + path);
            assert.equal(reply?.status(), 401);
            await accessible(page, 'logged out');
            await shoot(page, 'console-logged-out');
            assert.ok(await page.locator(`a[href="${stage.base}/login"]`).isVisible());
            await logIn(page, stage.admin);
            await page.locator(`a[href="${stage.base}${path}"]`).click();
            await page.locator('[data-connection=primary]').waitFor();
        });
    });

    test('a wrong port that was typed and not saved fails at tcp; then a right one is sent', async () => {
        const peer = await Peer.taking('4F2A1B9C');
        const dead = await deadPort();
        try {
            await asAdmin({colorScheme: 'light', viewport: {width: 1200, height: 900}}, async (page, card) => {
                await accessible(page, 'before a test');
                await shoot(page, 'console-light');
                await card.getByLabel('Host').fill('127.0.0.1');
                await card.getByLabel('Port').fill(String(dead));
                await card.getByLabel('Security').selectOption('none');
                await begin(card);
                await phase(card, 'done');
                const failed = await steps(card);
                assert.equal(failed.tcp, 'failed', JSON.stringify(failed));
                const advice = await card.locator('[data-step=tcp] .postroom-advice').innerText();
                assert.ok(advice.startsWith(`Nothing listens at 127.0.0.1:${String(dead)}.`), advice);
                await accessible(page, 'a test that failed');
                await shoot(page, 'console-failed-light');

                await card.getByLabel('Port').fill(String(peer.port));
                await begin(card);
                await phase(card, 'done');
                const sent = await steps(card);
                assert.deepEqual([sent.tcp, sent.queued], ['ok', 'ok'], JSON.stringify(sent));
                assert.equal(await card.locator('.postroom-queue code').innerText(), '4F2A1B9C');
                assert.match(await card.locator('.postroom-summary').innerText(), /accepted a test mail to admin@/);
                await accessible(page, 'a test that was sent');
                await shoot(page, 'console-sent-light');
                await page.emulateMedia({colorScheme: 'dark'});
                await accessible(page, 'a test that was sent, dark');
                await shoot(page, 'console-sent-dark');

                // Nothing of it was saved.
                await page.reload();
                await card.waitFor();
                assert.equal(await card.getByLabel('Host').inputValue(), '');
            });
        } finally {
            await peer.close();
        }
    });

    test('a server that says nothing is seen to stall, and the test is cancelled', async () => {
        const peer = await Peer.stalled();
        try {
            await asAdmin({colorScheme: 'dark', viewport: {width: 320, height: 700}}, async (page, card) => {
                await card.getByLabel('Host').fill('127.0.0.1');
                await card.getByLabel('Port').fill(String(peer.port));
                await card.getByLabel('Security').selectOption('none');
                await begin(card);
                await peer.connected();
                // The steps come as they happen: this one while the next is waited for.
                await card.locator('[data-step=tcp][data-state=ok]').waitFor(ENDED);
                await phase(card, 'running');
                await accessible(page, 'a test that runs');
                await shoot(page, 'console-stalled-narrow');
                await card.getByRole('button', {name: 'Cancel'}).click();
                await phase(card, 'cancelled');
                assert.equal(await card.locator('.postroom-summary').innerText(), 'Cancelled.');
                await accessible(page, 'a test that was cancelled');
                const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
                assert.ok(wider <= 0, `the page is ${String(wider)} px wider than the window`);
                await shoot(page, 'console-cancelled-narrow');
            });
        } finally {
            await peer.close();
        }
    });

    test('the bundle for Mattermost\'s own pages is served with them', async () => {
        const reply = await fetch(`${stage.base}/api/v4/plugins/webapp`);
        const [ours] = (await reply.json() as Array<{id: string; webapp: {bundle_path: string}}>).filter(({id}) => id === 'postroom');
        assert.ok(ours !== undefined, 'Mattermost names no bundle of ours');
        // As Mattermost's web app has it (`plugins/index.ts`).
        const bundle = await fetch(stage.base + ours.webapp.bundle_path.replace('/static/', '/static/plugins/'));
        assert.equal(bundle.status, 200);
        assert.match(await bundle.text(), /registerPlugin/);
    });
});
