/** What covers image and questions while there is nothing to answer: paused, moved, waiting, an end. */

export interface ScreenChoice {
  label: string;
  run: () => void;
  isQuiet?: boolean;
}

export class Screens {
  private name = '';

  /** `work` holds image and questions; `place` is where a screen is drawn. */
  constructor(
    private readonly place: HTMLElement,
    private readonly work: HTMLElement,
  ) {}

  get current(): string {
    return this.name;
  }

  /** Covers the work; the first choice has the focus, else the heading. */
  show(name: string, title: string, text: string, choices: readonly ScreenChoice[] = []): void {
    this.name = name;
    this.place.dataset['screen'] = name;
    const heading = document.createElement('h2');
    heading.textContent = title;
    heading.tabIndex = -1;
    const words = document.createElement('p');
    words.textContent = text;
    const row = document.createElement('div');
    row.className = 'reading__screen-choices';
    const buttons = choices.map((choice) => {
      const button = document.createElement('button');
      button.type = 'button';
      if (choice.isQuiet) button.className = 'secondary';
      button.textContent = choice.label;
      button.addEventListener('click', choice.run);
      return button;
    });
    row.append(...buttons);
    this.place.replaceChildren(heading, words, row);
    this.place.hidden = false;
    this.work.inert = true;
    this.work.dataset['covered'] = 'yes';
    (buttons[0] ?? heading).focus();
  }

  hide(): void {
    if (!this.name) return;
    this.name = '';
    this.place.hidden = true;
    this.place.replaceChildren();
    delete this.place.dataset['screen'];
    this.work.inert = false;
    delete this.work.dataset['covered'];
  }
}
