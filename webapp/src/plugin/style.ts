import host from '../theme/host.css?inline';
import parts from '../theme/parts.css?inline';

let added = false;

/** Adds our style to the host's page, once. A constructed sheet is no inline style to any policy, but not every browser has them. */
export function addStyle(): void {
    if (added) {
        return;
    }
    added = true;
    const css = host + parts;
    try {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(css);
        document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    } catch {
        const element = document.createElement('style');
        element.textContent = css;
        document.head.append(element);
    }
}
