/** The severity of a request: four grades, and a slider beside the number for what lies between them. */

const BETWEEN = 'between';

interface Grade {
  readonly radio: HTMLInputElement;
  readonly words: string;
}

/** "1.5, low to mild", or the grade's name at a whole number. */
export function words(level: number, grades: readonly string[]): string {
  const low = Math.floor(level);
  if (level === low) return `${level}, ${grades[low] ?? ''}`;
  return `${level}, ${grades[low] ?? ''} to ${grades[low + 1] ?? ''}`;
}

function gradesOf(element: HTMLElement): Grade[] {
  return [...element.querySelectorAll<HTMLInputElement>('input[name=severity]')].map((radio) => ({
    radio,
    words: (radio.closest('label')?.textContent ?? radio.value).trim().toLowerCase(),
  }));
}

/** A slider of the same range as the number, with the grades as marks below it. */
function sliderFor(number: HTMLInputElement, names: readonly string[]): [HTMLElement, HTMLInputElement] {
  const slider = document.createElement('input');
  slider.type = 'range';
  slider.id = 'severity-slider';
  slider.min = number.min;
  slider.max = number.max;
  slider.step = number.step;
  slider.setAttribute('aria-labelledby', 'severity-level-label');
  slider.setAttribute('aria-describedby', 'id_severity_level_helptext');
  const marks = document.createElement('div');
  marks.className = 'severity__marks';
  marks.setAttribute('aria-hidden', 'true');
  marks.append(
    ...names.map((name, place) => {
      const mark = document.createElement('span');
      mark.textContent = `${place} ${name}`;
      return mark;
    }),
  );
  const frame = document.createElement('div');
  frame.className = 'severity__slider';
  frame.append(slider, marks);
  return [frame, slider];
}

/** Draws the slider, and keeps slider, number and grades saying the same. */
export function severity(element: HTMLElement): void {
  const number = element.querySelector<HTMLInputElement>('input[name=severity_level]');
  const grades = gradesOf(element);
  const between = grades.find((grade) => grade.radio.value === BETWEEN);
  if (!number || !between) throw new Error('the severity has no grades.');
  const marks = grades.filter((grade) => grade !== between);
  const names = marks.map((grade) => grade.words);
  const [frame, slider] = sliderFor(number, names);
  number.before(frame);

  const tell = (): void => slider.setAttribute('aria-valuetext', words(Number(slider.value), names));
  const showGrade = (): void => {
    const place = marks.findIndex((grade) => grade.radio.checked);
    if (place >= 0) number.value = String(place);
    slider.value = number.value;
    tell();
  };
  const choose = (level: string): void => {
    const grade = marks[Number(level)] ?? between; // a whole number is a grade, any other lies between
    grade.radio.checked = true;
    tell();
  };
  slider.addEventListener('input', () => {
    number.value = slider.value;
    choose(slider.value);
  });
  number.addEventListener('input', () => {
    if (number.value === '') return;
    slider.value = number.value;
    choose(number.value);
  });
  grades.forEach((grade) => grade.radio.addEventListener('change', showGrade));
  showGrade();
}
