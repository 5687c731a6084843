// The stage: a real Mattermost with the plugin, started for the tests and ended with them.
import {spawn, type ChildProcess} from 'node:child_process';
import {createInterface} from 'node:readline';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {after, before} from 'node:test';
import {fileURLToPath} from 'node:url';

import {chromium, type Browser} from 'playwright-core';

const e2e = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const program = join(e2e, '..', '.build', 'stage');

/** Where screenshots are kept, for a person to look at. */
export const screenshots = join(e2e, '.out', 'screenshots');

/** What somebody logs in with. */
export interface Login {
    username: string;
    password: string;
}

/** An account and the mail it was sent. */
export interface Account extends Login {
    link: string;
    html: string;
    subject: string;
}

export class Stage {
    private constructor(
        private readonly process: ChildProcess,
        private readonly control: string,
        readonly base: string,
        readonly admin: Login,
        readonly browser: Browser,
    ) {}

    static async open(): Promise<Stage> {
        mkdirSync(screenshots, {recursive: true});
        const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
        if (executablePath === undefined) {
            throw new Error('NOT RUN: chromium is not installed (Debian: chromium)');
        }
        execFileSync('go', ['build', '-mod=readonly', '-o', program, './cmd/stage'], {cwd: e2e, stdio: 'inherit'});
        const child = spawn(program, {stdio: ['pipe', 'pipe', 'inherit']});
        const line = await new Promise<string>((resolve, reject) => {
            createInterface({input: child.stdout}).once('line', resolve);
            child.once('exit', (code) => { reject(new Error(`the stage ended with ${String(code)}`)); });
        });
        const {control, base, admin} = JSON.parse(line) as {control: string; base: string; admin: Login};
        // Debian's Chromium refuses its sandbox to root; nothing but the plugin's own pages is opened.
        const browser = await chromium.launch({executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : []});
        return new Stage(child, control, base, admin, browser);
    }

    async account(kind: 'reset' | 'verify', locale: string): Promise<Account> {
        const reply = await fetch(`${this.control}/account?kind=${kind}&locale=${locale}`, {method: 'POST'});
        if (!reply.ok) {
            throw new Error(await reply.text());
        }
        return await reply.json() as Account;
    }

    async canLogIn(username: string, password: string): Promise<boolean> {
        const reply = await fetch(`${this.control}/login?${new URLSearchParams({username, password}).toString()}`);
        return reply.status === 204;
    }

    async close(): Promise<void> {
        await this.browser.close();
        const ended = new Promise((resolve) => this.process.once('exit', resolve));
        this.process.stdin?.end();
        await ended;
    }
}

/** The one stage of all tests in this process, opened before the first and closed after the last. */
export let stage: Stage;
before(async () => { stage = await Stage.open(); });
after(async () => { await stage.close(); });
