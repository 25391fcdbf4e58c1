/** The frame's small behaviours: rail, menus, messages, dialogs, copying, and failures of live fragments. */

const YEAR_S = 365 * 24 * 3600;

/** Puts one sentence over the page and reads it out; `tone` is a notice class such as "ok" or "error". */
export function announce(sentence: string, tone: 'ok' | 'error' | 'info' = 'info'): void {
  const place = document.getElementById('announcements');
  if (!place) return;
  const notice = document.createElement('p');
  notice.className = `notice notice--${tone}`;
  notice.textContent = sentence;
  place.replaceChildren(notice);
  window.setTimeout(() => notice.remove(), 8000);
}

function railToggle(button: HTMLElement): void {
  const root = document.documentElement;
  const collapsed = root.dataset['rail'] !== 'collapsed';
  root.dataset['rail'] = collapsed ? 'collapsed' : 'open';
  button.setAttribute('aria-pressed', String(collapsed));
  document.cookie = `rail=${root.dataset['rail']}; path=/; max-age=${YEAR_S}; samesite=lax`;
}

function menusClose(except: Element | null): void {
  document.querySelectorAll<HTMLDetailsElement>('details[data-menu][open]').forEach((menu) => {
    if (menu !== except) menu.open = false;
  });
}

async function copy(button: HTMLElement): Promise<void> {
  const source = document.getElementById(button.dataset['copy'] ?? '');
  if (!source) return;
  try {
    await navigator.clipboard.writeText(source.textContent?.trim() ?? '');
    announce(button.dataset['copied'] ?? 'Copied.', 'ok');
  } catch {
    window.getSelection()?.selectAllChildren(source);
    announce('Copying is not allowed here: the text is selected, press Ctrl+C.', 'info');
  }
}

function dialogOf(id: string | undefined): HTMLDialogElement | null {
  const dialog = id ? document.getElementById(id) : null;
  return dialog instanceof HTMLDialogElement ? dialog : null;
}

function clicked(target: Element): void {
  const find = (selector: string): HTMLElement | null => target.closest<HTMLElement>(selector);
  menusClose(find('details[data-menu]'));
  const rail = find('[data-rail-toggle]');
  if (rail) railToggle(rail);
  find('[data-dismiss]')?.closest('.notice')?.remove();
  const copying = find('[data-copy]');
  if (copying) void copy(copying);
  const opener = find('[data-dialog-open]');
  if (opener) dialogOf(opener.dataset['dialogOpen'])?.showModal();
  find('[data-dialog-close]')?.closest('dialog')?.close();
  if (find('[data-back]')) window.history.back();
  if (find('[data-print]')) window.print();
}

/** Lets the server write times as this computer's clock shows them. */
function timeZoneTell(): void {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `timezone=${zone}; path=/; max-age=${YEAR_S}; samesite=lax`;
}

/**
 * Keeps the keyboard focus inside a live fragment that replaces itself. htmx finds the element again by
 * its id; where it is gone (the cancel button of a job that is over), the fragment's [data-home] takes it.
 */
function focusKeep(): void {
  let held = '';
  document.addEventListener('htmx:beforeSwap', (event) => {
    const { target } = (event as CustomEvent<{ target: Element }>).detail;
    held = target.contains(document.activeElement) ? target.id : '';
  });
  document.addEventListener('htmx:afterSwap', () => {
    const lost = document.activeElement === document.body || document.activeElement === null;
    const fragment = held ? document.getElementById(held) : null;
    if (lost) fragment?.querySelector<HTMLElement>('[data-home]')?.focus();
    held = '';
  });
}

/** A form that is on its way is not sent again by a second click; after this time the first is taken for lost. */
const SENT_AGAIN_MS = 30_000;

/** Sends what the server stores once, however often the button is pressed before its answer comes. */
function sendOnce(): void {
  const free = (form: HTMLFormElement): boolean => delete form.dataset['sent'];
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || event.defaultPrevented) return;
    if (form.getAttribute('method')?.toLowerCase() !== 'post') return;
    if (form.dataset['sent'] !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset['sent'] = '';
    window.setTimeout(() => free(form), SENT_AGAIN_MS);
  });
  // Back on the page as it was left: its forms may be sent once more.
  window.addEventListener('pageshow', () => {
    document.querySelectorAll<HTMLFormElement>('form[data-sent]').forEach(free);
  });
}

/** Starts the frame. */
export function frameInit(): void {
  timeZoneTell();
  focusKeep();
  sendOnce();
  document.addEventListener('click', (event) => {
    if (event.target instanceof Element) clicked(event.target);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const open = document.querySelector<HTMLDetailsElement>('details[data-menu][open]');
    if (!open) return;
    open.open = false;
    open.querySelector('summary')?.focus();
  });
  // A select that applies its filter at once.
  document.addEventListener('change', (event) => {
    const control = event.target;
    if (control instanceof HTMLSelectElement && 'autosubmit' in control.dataset) {
      control.form?.requestSubmit();
    }
  });
  // A live fragment that fails says so once; a poll that works again takes the sentence away.
  document.addEventListener('htmx:responseError', (event) => {
    const xhr = (event as CustomEvent<{ xhr: XMLHttpRequest }>).detail.xhr;
    if (xhr.status === 403) announce('You may not do this, or you were signed out. Reload the page.', 'error');
    else announce(`This part of the page could not be loaded (HTTP ${xhr.status}).`, 'error');
  });
  document.addEventListener('htmx:sendError', () => {
    announce('The server does not answer. What you see may be out of date.', 'error');
  });
}
