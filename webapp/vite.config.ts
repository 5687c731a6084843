import {fileURLToPath} from 'node:url';

import {defineConfig, type UserConfig} from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What both have: one file of script each, for browsers that Mattermost 11 supports. */
const common = (entry: string, outDir: string, fileName: string): UserConfig => ({
    root: here('.'),
    publicDir: false,
    logLevel: 'warn',
    define: {'process.env.NODE_ENV': '"production"'},
    build: {
        target: 'es2022',
        outDir: here(outDir),
        emptyOutDir: true,
        minify: true,
        sourcemap: false,
        modulePreload: false,
        cssCodeSplit: false,
        rolldownOptions: {
            input: here(entry),
            output: {format: 'iife', entryFileNames: fileName, assetFileNames: 'console[extname]'},
        },
    },
});

/** `--mode plugin`: dist/plugin/main.js, with the host's React. `--mode console`: dist/public, with its own. */
export default defineConfig(({mode}) => {
    switch (mode) {
    case 'plugin':
        return {
            ...common('src/plugin/index.ts', 'dist/plugin', 'main.js'),
            resolve: {
                alias: [
                    {find: /^react$/, replacement: here('src/plugin/react.ts')},
                    {find: /^react\/jsx-runtime$/, replacement: here('src/plugin/jsx-runtime.ts')},
                ],
            },
        };
    case 'console':
        return common('src/console/index.tsx', 'dist/public', 'console.js');
    default:
        throw new Error('Say which: vite build --mode plugin, or --mode console');
    }
});
