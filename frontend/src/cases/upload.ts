/** The import page: choose or drop files and folders, send them with progress, go to the report. */
import { sendFiles } from '../api';

/** A file and its place in the folder that was chosen or dropped. */
export interface Chosen {
  readonly path: string;
  readonly file: File;
}

/** "3 files, 12.4 MB". */
export function summary(chosen: readonly Chosen[]): string {
  if (!chosen.length) return 'Nothing chosen yet.';
  const bytes = chosen.reduce((sum, one) => sum + one.file.size, 0);
  return `${chosen.length} ${chosen.length === 1 ? 'file' : 'files'}, ${size(bytes)}`;
}

/** A size in the largest unit that leaves at least 1, with one digit below ten. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Adds files, leaving out those whose path is there already. */
export function merged(present: readonly Chosen[], added: readonly Chosen[]): Chosen[] {
  const paths = new Set(present.map((one) => one.path));
  return [...present, ...added.filter((one) => !paths.has(one.path))];
}

function listed(files: FileList | null): Chosen[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    // A reader hands out its entries in portions, an empty one at the end.
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!portion.length) return found;
    found.push(...portion);
  }
}

async function walk(entry: FileSystemEntry): Promise<Chosen[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\/+/, ''), file }];
  }
  const found: Chosen[] = [];
  for (const one of await entriesOf(entry as FileSystemDirectoryEntry)) found.push(...(await walk(one)));
  return found;
}

async function dropped(transfer: DataTransfer): Promise<Chosen[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.length) return listed(transfer.files);
  const found: Chosen[] = [];
  for (const entry of entries) found.push(...(await walk(entry)));
  return found;
}

function part<E extends HTMLElement>(root: HTMLElement, name: string): E {
  const found = root.querySelector<E>(`[data-${name}]`);
  if (!found) throw new Error(`the import page lacks its part “${name}”.`);
  return found;
}

/** Mounts the import form. */
export function upload(element: HTMLElement): void {
  const form = element as HTMLFormElement;
  const drop = part(form, 'drop');
  const error = part(form, 'error');
  const progress = part(form, 'progress');
  const bar = progress.querySelector('progress') as HTMLProgressElement;
  const send = part<HTMLButtonElement>(form, 'send');
  const cancel = part<HTMLAnchorElement>(form, 'cancel');
  let chosen: Chosen[] = [];
  let sending: AbortController | null = null;

  const say = (sentence: string): void => {
    error.textContent = sentence;
    error.hidden = !sentence;
  };
  const add = (more: readonly Chosen[]): void => {
    chosen = merged(chosen, more);
    part(form, 'chosen').textContent = summary(chosen);
    say('');
  };
  const show = (share: number): void => {
    bar.value = share;
    part(form, 'progress-percent').textContent = `${Math.floor(share * 100)} %`;
    if (share >= 1) part(form, 'progress-words').textContent = 'Storing what was sent';
  };

  for (const choice of form.querySelectorAll<HTMLElement>('[data-needs-script]')) choice.hidden = false;
  for (const name of ['files', 'folder']) {
    const input = part<HTMLInputElement>(form, name);
    const take = (): void => {
      add(listed(input.files));
      input.value = '';
    };
    input.addEventListener('change', take);
    if (input.files?.length) take(); // chosen before this script was there
  }
  drop.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.dataset['over'] = '';
  });
  drop.addEventListener('dragleave', () => delete drop.dataset['over']);
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    delete drop.dataset['over'];
    if (!event.dataTransfer) return;
    dropped(event.dataTransfer).then(add, () => say('These files could not be read. Choose them with the button.'));
  });
  cancel.addEventListener('click', (event) => {
    if (!sending) return;
    event.preventDefault();
    sending.abort();
  });
  window.addEventListener('beforeunload', (event) => {
    if (sending) event.preventDefault();
  });

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (sending) return;
    if (!chosen.length) {
      say('Choose at least one file.');
      return;
    }
    const data = new FormData();
    data.set('paths', JSON.stringify(chosen.map((one) => one.path)));
    for (const one of chosen) data.append('files', one.file, one.file.name);
    sending = new AbortController();
    send.disabled = true;
    progress.hidden = false;
    say('');
    show(0);
    sendFiles<{ location: string }>(form.action, data, show, sending.signal).then(
      (answer) => {
        sending = null;
        window.location.assign(answer.location);
      },
      (reason: unknown) => {
        sending = null;
        send.disabled = false;
        progress.hidden = true;
        const stopped = reason instanceof DOMException && reason.name === 'AbortError';
        say(
          stopped
            ? 'Stopped; nothing was imported. Your choice is kept.'
            : `${reason instanceof Error ? reason.message : String(reason)} Your choice is kept.`,
        );
      },
    );
  });
}
