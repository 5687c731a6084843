import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
    js.configs.recommended,
    tseslint.configs.recommendedTypeChecked,
    {languageOptions: {parserOptions: {projectService: true}}},
    {rules: {'@typescript-eslint/no-floating-promises': ['error', {allowForKnownSafeCalls: [{from: 'package', package: 'node:test', name: ['test', 'describe', 'before', 'after']}]}]}},
    {ignores: ['dist/', 'eslint.config.js']},
);
