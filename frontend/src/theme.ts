/** Dark by default, light on choice: `data-theme` on <html>, remembered in a cookie so that the server can render it. */

export type Theme = 'dark' | 'light';

const YEAR_S = 365 * 24 * 3600;

function current(): Theme {
  return document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark';
}

function show(button: HTMLElement, theme: Theme): void {
  button.setAttribute('aria-pressed', String(theme === 'light'));
}

function choose(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
  document.cookie = `theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
  document.querySelectorAll<HTMLElement>('[data-theme-toggle]').forEach((b) => show(b, theme));
}

/** Makes every `<button data-theme-toggle>` switch the theme. */
export function themeInit(): void {
  document.querySelectorAll<HTMLElement>('[data-theme-toggle]').forEach((b) => show(b, current()));
  document.addEventListener('click', (event) => {
    const target = event.target instanceof Element ? event.target.closest('[data-theme-toggle]') : null;
    if (target) choose(current() === 'light' ? 'dark' : 'light');
  });
}
