import { describe, expect, it } from 'vitest';
import { ViewClock } from '../src/readings/clock';
import { Plan } from '../src/readings/plan';
import { AnswerSheet } from '../src/readings/sheet';
import { newId } from '../src/readings/tabs';
import type { Item, Question, State } from '../src/readings/types';
import { ViewingRecorder } from '../src/readings/viewing';

const choices = (...labels: string[]) => labels.map((label, index) => ({ value: index + 1, label, key: String(index + 1) }));

const PRIMARY: Question = {
  name: 'real_or_synthetic', label: 'Real or synthetic?', type: 'real_or_synthetic', required: true,
  widget: {
    kind: 'targets', field: 'score', choices: choices('a', 'b', 'c', 'd', 'e'),
    forced: {
      when: 3, field: 'synthetic', label: 'If you had to choose',
      choices: [{ value: false, label: 'Real', key: 'r' }, { value: true, label: 'Synthetic', key: 's' }],
    },
  },
};
const QUALITY: Question = {
  name: 'quality', label: 'Quality', type: 'likert', required: true,
  widget: { kind: 'targets', field: 'value', choices: choices('poor', 'good'), forced: null },
};
const REMARK: Question = {
  name: 'remark', label: 'Remark', type: 'free_text', required: false,
  widget: { kind: 'text', field: 'text', max_length: 10, hint: '', forced: null },
};

describe('AnswerSheet', () => {
  it('takes an answer at once', () => {
    const sheet = new AnswerSheet([PRIMARY]);
    expect(sheet.isOneKey).toBe(true);
    expect(sheet.choiceFor('4')?.choice.value).toBe(4);
    expect(sheet.choose('real_or_synthetic', 4)).toEqual({ score: 4 });
    expect(sheet.isDone).toBe(true);
  });

  it('asks whoever stands in the middle for a side', () => {
    const sheet = new AnswerSheet([PRIMARY, QUALITY]);
    expect(sheet.choiceFor('r')).toBeNull();
    expect(sheet.choose('real_or_synthetic', 3)).toBeNull();
    expect(sheet.isDone).toBe(false);
    expect(sheet.missing?.name).toBe('real_or_synthetic');
    expect(sheet.choiceFor('s')).toMatchObject({ isSide: true, name: 'real_or_synthetic' });
    expect(sheet.chooseSide('real_or_synthetic', true)).toEqual({ score: 3, synthetic: true });
    expect(sheet.active?.name).toBe('quality');
  });

  it('lets the reader leave the middle again', () => {
    const sheet = new AnswerSheet([PRIMARY]);
    sheet.choose('real_or_synthetic', 3);
    expect(sheet.choiceFor('2')?.isSide).toBe(false);
    expect(sheet.choose('real_or_synthetic', 2)).toEqual({ score: 2 });
    expect(sheet.asksSide('real_or_synthetic')).toBe(false);
    expect(sheet.chooseSide('real_or_synthetic', true)).toBeNull();
  });

  it('gives the keys to the next question without an answer, or to the one chosen', () => {
    const sheet = new AnswerSheet([PRIMARY, QUALITY, REMARK]);
    sheet.choose('real_or_synthetic', 1);
    expect(sheet.choiceFor('2')?.name).toBe('quality');
    sheet.activate('real_or_synthetic');
    expect(sheet.choiceFor('2')?.name).toBe('real_or_synthetic');
    sheet.choose('real_or_synthetic', 2);
    expect(sheet.active?.name).toBe('quality');
    sheet.choose('quality', 1);
    expect(sheet.isDone).toBe(true);
  });

  it('begins with what was answered before, and does not take the same answer for a new one', () => {
    const before = { real_or_synthetic: { score: 3, synthetic: false, scale: '5' }, quality: { value: 2 } };
    const sheet = new AnswerSheet([PRIMARY, QUALITY], before);
    expect(sheet.isDone).toBe(true);
    expect(sheet.choose('quality', 2)).toBeNull();
    expect(sheet.choose('quality', 1)).toEqual({ value: 1 });
    sheet.choose('real_or_synthetic', 3);
    expect(sheet.chooseSide('real_or_synthetic', false)).toBeNull();
  });
});

const item = (position: number): Item => ({
  token: `t${position}`, position, series_url: '/x', is_practice: false, answers: {},
});
const state = (position: number, ahead = 2): State => ({
  phase: 'reading', is_holder: true, done: position, total: 6, position,
  session: { number: 1, count: 1, opens_at: null },
  items: Array.from({ length: ahead + 1 }, (_, index) => item(position + index)),
});

describe('Plan', () => {
  it('goes on from item to item', () => {
    const plan = new Plan();
    plan.restart(state(2), new Set());
    expect(plan.item?.token).toBe('t2');
    expect(plan.ahead.map((one) => one.token)).toEqual(['t3', 't4']);
    expect(plan.advance(false)).toBe('t2');
    expect([plan.item?.token, plan.isLookingBack]).toEqual(['t3', false]);
    plan.absorb(state(3));
    expect(plan.ahead.map((one) => one.token)).toEqual(['t4', 't5']);
  });

  it('counts items as read whose answers are on their way', () => {
    const plan = new Plan();
    plan.restart(state(0), new Set(['t0', 't1']));
    expect(plan.item?.token).toBe('t2');
    expect(plan.isLookingBack).toBe(false);
  });

  it('keeps what it knows of an item when the server tells of it again', () => {
    const plan = new Plan();
    plan.restart(state(0), new Set());
    const mine = plan.item as Item;
    mine.answers = { q: { score: 1 } };
    plan.absorb(state(0));
    expect(plan.item).toBe(mine);
  });

  it('looks back and comes forward again', () => {
    const plan = new Plan();
    plan.restart(state(2), new Set());
    plan.goBack({ ...item(1), answers: { q: { score: 1 } } });
    expect([plan.here, plan.isLookingBack]).toEqual([1, true]);
    plan.advance(true);
    expect([plan.item?.token, plan.isLookingBack]).toEqual(['t2', false]);
  });
});

describe('ViewClock', () => {
  it('counts what is in view, and what was hidden apart', () => {
    let now = 0;
    const clock = new ViewClock(() => now);
    clock.restart();
    now = 2000;
    clock.setAway(true);
    now = 5000;
    clock.setAway(false);
    now = 6000;
    expect([clock.seconds, clock.away]).toEqual([3, 3]);
    clock.stop();
    now = 60_000;
    expect(clock.seconds).toBe(3);
    clock.resume();
    now = 61_000;
    expect(clock.seconds).toBe(4);
    clock.restart();
    expect([clock.seconds, clock.away]).toEqual([0, 0]);
  });
});

describe('ViewingRecorder', () => {
  it('sums seconds by slice and keeps windows as they were set', () => {
    let now = 0;
    const clock = new ViewClock(() => now);
    const recorder = new ViewingRecorder(clock);
    clock.restart();
    recorder.restart(1);
    recorder.onWindow({ center: 40, width: 400 });
    now = 1000;
    recorder.onSlice(2);
    recorder.onWindow({ center: 50, width: 300 });
    now = 1200;
    recorder.onWindow({ center: 60, width: 200 });
    now = 3000;
    recorder.onSlice(1);
    recorder.onZoom(2.5);
    recorder.onZoom(1.5);
    now = 4000;
    expect(recorder.report([900, 700, 1])).toEqual({
      seconds: 4,
      away: 0,
      slices: { '1': 2, '2': 2 },
      windows: [[0, 40, 400], [1.2, 60, 200]],
      zoom: [1, 2.5],
      screen: [900, 700, 1],
    });
  });

  it('never reports more windows than the server takes', () => {
    let now = 0;
    const recorder = new ViewingRecorder(new ViewClock(() => now));
    for (let index = 0; index < 200; index += 1) {
      now += 1000;
      recorder.onWindow({ center: index, width: 400 });
    }
    expect(recorder.report([1, 1, 1]).windows.length).toBeLessThanOrEqual(64);
  });
});

describe('newId', () => {
  it('is a random UUID', () => {
    const ids = new Set(Array.from({ length: 100 }, newId));
    expect(ids.size).toBe(100);
    ids.forEach((id) => expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/));
  });
});
