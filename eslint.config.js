import js from '@eslint/js';
import tseslint from 'typescript-eslint';

// The stack, lowest first: a folder may import from itself and from what stands before it.
const stack = ['git', 'snapshot', 'store', 'transfer', 'mount', 'cli'];

const layer = (folder, forbidden, message) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: [{ regex: `^(\\.\\./)+(${forbidden.join('|')})/`, message }] },
    ],
  },
});

const layers = stack.slice(0, -1).map((folder, index) => {
  const above = stack.slice(index + 1);
  return layer(folder, above, `src/${folder} may not import from ${above.join(', ')}.`);
});

// What a module gives to others says what it is.
const documented = {
  create(context) {
    return {
      'ExportNamedDeclaration[declaration]'(node) {
        const comments = context.sourceCode.getCommentsBefore(node);
        if (comments.some(({ value }) => value.startsWith('*'))) return;
        context.report({ node, message: 'An export needs a TSDoc comment.' });
      },
    };
  },
};

export default tseslint.config(
  { ignores: ['dist/', '.dist-*/', 'coverage/', '.cache/', 'node_modules/'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ['tsconfig.json'],
      },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { vost: { rules: { documented } } },
    rules: { 'vost/documented': 'error' },
  },
  ...layers,
  layer(
    'mount/fuse',
    ['git(?!/byte-string\\.ts)', 'snapshot', 'store', 'transfer', 'namespace', 'branch'],
    'The kernel protocol knows no git.',
  ),
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
  {
    files: ['test/**/*.ts', 'scripts/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
);
