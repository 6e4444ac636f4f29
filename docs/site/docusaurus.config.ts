import type {Config, PluginConfig} from '@docusaurus/types';

/** Pages with test data; only the browser tests build them. */
const testPages: PluginConfig[] = process.env.MATRIX_TEST_PAGES
  ? [['@docusaurus/plugin-content-pages', {id: 'test', path: 'tests/pages', routeBasePath: 'test'}]]
  : [];

const config: Config = {
  title: 'Claude Code through LiteLLM',
  url: 'https://example.invalid',
  baseUrl: '/',
  favicon: 'img/favicon.svg',
  onBrokenLinks: 'throw',
  onBrokenAnchors: 'throw',
  i18n: {defaultLocale: 'en', locales: ['en']},
  plugins: [
    ['@docusaurus/plugin-content-docs', {sidebarPath: './sidebars.ts'}],
    ['@docusaurus/plugin-content-pages', {}],
    ...testPages,
  ],
  themes: [['@docusaurus/theme-classic', {customCss: './src/css/site.css'}]],
  themeConfig: {
    colorMode: {respectPrefersColorScheme: true},
    navbar: {title: 'Claude Code through LiteLLM'},
  },
};

export default config;
