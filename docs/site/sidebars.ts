import type {SidebarsConfig} from '@docusaurus/plugin-content-docs';

const sidebars: SidebarsConfig = {
  docs: [{type: 'category', label: 'Tutorials', collapsible: false, items: ['tutorials/claude-code-compatibility']}],
};

export default sidebars;
