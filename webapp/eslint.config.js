import js from '@eslint/js';
import jsxA11y from 'eslint-plugin-jsx-a11y-x';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

export default tseslint.config(
    js.configs.recommended,
    tseslint.configs.strictTypeChecked,
    {languageOptions: {parserOptions: {projectService: true}}},
    {files: ['**/*.tsx', '**/use*.ts'], ...reactHooks.configs.flat.recommended},
    {files: ['**/*.tsx'], ...jsxA11y.configs.strict},
    {ignores: ['eslint.config.js', 'dist/']},
);
