/** Forms that ask in passing: what is drawn anew keeps what was chosen, and says so; no button is pressed unasked. */

type Said = Readonly<Record<string, readonly string[]>>;
type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/** What a form would send, by name. */
export function said(data: FormData): Said {
  const found: Record<string, string[]> = {};
  for (const name of new Set(data.keys())) {
    found[name] = data.getAll(name).map((value) => (typeof value === 'string' ? value : value.name));
  }
  return found;
}

/** What is said otherwise now than it was then, by name; a name that is no longer sent has no values. */
export function changedSince(then: Said, now: Said): Said {
  const names = new Set([...Object.keys(then), ...Object.keys(now)]);
  const changed: Record<string, readonly string[]> = {};
  for (const name of names) {
    const [was, is] = [then[name] ?? [], now[name] ?? []];
    if (was.length !== is.length || was.some((value, place) => value !== is[place])) changed[name] = is;
  }
  return changed;
}

/** Whether a control can take a value: a list only one of its own, a choice of files none. */
function takes(control: Control, value: string): boolean {
  if (control instanceof HTMLSelectElement) return [...control.options].some((one) => one.value === value);
  return control.type !== 'file';
}

/** Puts values into a form; of every name that took one, a control that tells of it. */
function put(form: HTMLFormElement, values: Said): Control[] {
  return Object.entries(values).flatMap(([name, wanted]) => {
    const controls = [...form.elements].filter(
      (one): one is Control => 'value' in one && (one as Control).name === name && !(one instanceof HTMLButtonElement),
    );
    for (const control of controls) {
      const ticked = control instanceof HTMLInputElement && ['radio', 'checkbox'].includes(control.type);
      if (ticked) control.checked = wanted.includes(control.value);
      else if (takes(control, wanted[0] ?? '')) control.value = wanted[0] ?? '';
    }
    const first = controls.find((one) => !(one instanceof HTMLInputElement) || one.type !== 'radio' || one.checked);
    return first ? [first] : [];
  });
}

type Detail = CustomEvent<{ target: Element }>;

/** Whatever changes between the question for a new form and its answer is carried over into the answer. */
function formKeep(): void {
  const sent = new WeakMap<Element, Said>();
  const late = new Map<string, Said>(); // by form: two may be on their way at once
  const nameOf = (form: HTMLFormElement): string => form.id || form.getAttribute('action') || '';
  document.addEventListener('htmx:beforeRequest', (event) => {
    const { target } = (event as Detail).detail;
    if (target instanceof HTMLFormElement) sent.set(target, said(new FormData(target)));
  });
  document.addEventListener('htmx:beforeSwap', (event) => {
    const { target } = (event as Detail).detail;
    if (!(target instanceof HTMLFormElement)) return;
    // What it asked before, nobody needs.
    target.dispatchEvent(new CustomEvent('htmx:abort', { bubbles: true, detail: { elt: target } }));
    const then = sent.get(target);
    if (then) late.set(nameOf(target), changedSince(then, said(new FormData(target))));
  });
  document.addEventListener('htmx:afterSettle', (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const controls = put(form, late.get(nameOf(form)) ?? {});
    late.delete(nameOf(form));
    for (const control of controls) control.dispatchEvent(new Event('change', { bubbles: true }));
  });
}

type Asking = CustomEvent<{
  elt: Element;
  path: string;
  parameters: Record<string, unknown>;
  triggeringEvent?: Event;
}>;

/**
 * A form that asks in passing, since a value changed, asks where it always asks and presses no button: htmx
 * would take the address and the value of the button that has the focus, and hand in what nobody asked for.
 */
function buttonsRest(): void {
  document.addEventListener('htmx:configRequest', (event) => {
    const { detail } = event as Asking;
    const form = detail.elt;
    const own = form instanceof HTMLFormElement ? form.getAttribute('hx-post') : null;
    if (own === null || detail.triggeringEvent?.type === 'submit') return;
    detail.path = own;
    for (const one of (form as HTMLFormElement).elements) {
      if (one instanceof HTMLButtonElement && one.name) delete detail.parameters[one.name];
    }
  });
}

/** A region that has `aria-busy` is busy while it is fetched anew, for those who listen and in its look. */
function busyTell(): void {
  const mark = (event: Event, busy: boolean): void => {
    const { target } = (event as Detail).detail;
    if (target.hasAttribute('aria-busy')) target.setAttribute('aria-busy', String(busy));
  };
  document.addEventListener('htmx:beforeRequest', (event) => mark(event, true));
  document.addEventListener('htmx:afterRequest', (event) => mark(event, false));
}

/** Starts all three. */
export function redrawInit(): void {
  formKeep();
  buttonsRest();
  busyTell();
}
