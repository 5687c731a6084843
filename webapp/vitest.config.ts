import {defineConfig} from 'vitest/config';

export default defineConfig({
    test: {
        include: ['test/**/*.test.{ts,tsx}'],
        // A file's fixtures are milliseconds of work; compiling the module is most of it.
        testTimeout: 30_000,
        setupFiles: ['test/setup.ts'],
    },
});
