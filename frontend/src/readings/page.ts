/** The reading page: shows item after item, saves each answer as it is given, and never loses one. */
import { ApiError, getJson, postJson } from '../api';
import { viewerInit } from '../viewer/core';
import { bindButtons, bindKeys, fillHelp } from '../viewer/keyboard';
import { actionsOf } from './actions';
import { coverComplete, coverMoved, coverPaused, coverUnreachable, coverWaiting } from './covers';
import { QuestionForm } from './form';
import { ItemLoader } from './items';
import { SingleKeys, bindAnswerKeys } from './keys';
import { Look } from './look';
import { type Entry, Outbox, shelfFor } from './outbox';
import { Plan } from './plan';
import { Screens } from './screens';
import { AnswerSheet } from './sheet';
import { Stage } from './stage';
import { StatusBar } from './statusbar';
import { Tabs, newId } from './tabs';
import type { Item, ReadingConfig, Reply, State, Value, Values } from './types';

/** An answer within this time of the image's coming up is a slip of the finger: nobody has looked yet. */
const SLIP_MS = 300;

export class ReadingPage {
  private readonly id = newId();
  private readonly plan = new Plan();
  private readonly look = new Look();
  private readonly loader = new ItemLoader();
  private readonly bar: StatusBar;
  private readonly screens: Screens;
  private readonly form: QuestionForm;
  private readonly outbox: Outbox;
  private readonly tabs: Tabs;
  private stage!: Stage;
  private sheet: AnswerSheet | null = null;
  private shownAt = 0;
  /** What the server said last. */
  private said: State | null = null;
  private isPaused = false;
  private isMoved = false;
  /** The practice item whose feedback is awaited or read. */
  private practice: Item | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly config: ReadingConfig,
  ) {
    const find = (name: string): HTMLElement => root.querySelector<HTMLElement>(`[data-${name}]`) as HTMLElement;
    this.bar = new StatusBar(root, () => void this.outbox.flush());
    this.screens = new Screens(find('screen-place'), find('work'));
    this.form = new QuestionForm(find('questions'), config.questions, {
      onAnswer: (name, value) => this.answered(name, value),
      onNext: () => this.next(),
      onBack: () => void this.back(),
    });
    this.outbox = new Outbox(shelfFor(`reading-${config.place}-`), {
      send: (entry) => this.send(entry),
      onChange: (status) => this.bar.showOutbox(status),
      onArrived: (entry, reply) => this.arrived(entry, reply),
      onRefused: (entry, error) => void this.refused(entry, error),
    });
    this.tabs = new Tabs(config.place, this.id, () => this.moved());
  }

  async start(): Promise<void> {
    await viewerInit();
    const host = this.root.querySelector<HTMLDivElement>('[data-viewport]') as HTMLDivElement;
    this.stage = new Stage(host, this.loader, this.config.window === 'fixed', { onLook: () => this.look.note(this.stage) });
    this.stage.onRetry = () => void this.show();
    const actions = actionsOf(this.stage, this.config.window === 'fixed', {
      pause: () => void this.pause(),
      help: () => document.querySelector<HTMLDialogElement>('[data-viewer-help]')?.showModal(),
      looked: () => this.bar.showTool(this.stage.tool),
    });
    const single = new SingleKeys(this.root.querySelector<HTMLInputElement>('[data-single-keys]'));
    bindAnswerKeys({
      isCovered: () => this.screens.current !== '',
      answer: (key) => single.isOn && this.form.key(key),
      next: () => this.next(),
      back: this.config.going_back ? () => void this.back() : null,
    });
    bindKeys(document.body, single.guard(actions));
    bindButtons(this.root, actions);
    const help = document.querySelector<HTMLDialogElement>('[data-viewer-help]');
    if (help) fillHelp(help, actions);
    this.bar.showTool(this.stage.tool);
    addEventListener('online', () => void this.online());
    addEventListener('pagehide', () => this.reportViewing());
    document.addEventListener('visibilitychange', () => this.visibility());
    this.bar.showOutbox(this.outbox.status);
    await this.resume();
  }

  // --- beginning, pausing, two tabs

  /** Takes the place over and shows the item that the server says is next. */
  private async resume(): Promise<void> {
    try {
      await this.outbox.flush();
      const state = await postJson<State>(this.config.urls.resume, { page: this.id });
      this.tabs.take();
      this.isMoved = false;
      this.isPaused = false;
      this.practice = null;
      this.bar.hideFeedback();
      this.screens.hide();
      this.plan.restart(state, this.outbox.completing);
      this.said = state;
      await this.show();
      this.act();
    } catch (error) {
      await this.notResumed(error);
    }
  }

  private async notResumed(error: unknown): Promise<void> {
    const words = error instanceof Error ? error.message : String(error);
    if (error instanceof ApiError && error.status === 409) {
      // The study was closed, or the next session has to wait: the welcome page says which.
      this.leave(this.config.urls.welcome);
      return;
    }
    if (error instanceof ApiError && error.status === 0 && this.isPaused && this.plan.item) {
      // Paused here and still the one that reads: what is loaded can be read without a connection.
      this.isPaused = false;
      this.screens.hide();
      await this.show();
      return;
    }
    coverUnreachable(this.screens, words, () => void this.resume());
  }

  private async pause(): Promise<void> {
    if (this.isPaused || this.screens.current || !this.plan.item) return;
    this.isPaused = true;
    this.form.flushTexts();
    this.reportViewing();
    this.outbox.add({ id: newId(), kind: 'pause', token: '', body: { page: this.id } });
    this.stage.clear();
    coverPaused(this.screens, () => void this.resume(), () => this.leave(this.config.urls.welcome));
  }

  /** Another page has taken over: this one shows nothing more, and what it holds is still sent. */
  private moved(): void {
    if (this.isMoved) return;
    this.isMoved = true;
    this.reportViewing();
    this.stage.clear();
    this.form.setOpen(false);
    coverMoved(this.screens, () => void this.resume());
  }

  private visibility(): void {
    this.look.setAway(document.hidden);
    if (document.hidden || this.isPaused || this.isMoved) return;
    void getJson<State>(`${this.config.urls.state}?page=${this.id}`).then(
      (state) => this.absorb(state),
      () => undefined, // asked again with the next answer
    );
  }

  private async online(): Promise<void> {
    if (this.screens.current === 'unreachable') await this.resume();
    else await this.outbox.flush();
  }

  private leave(address: string): void {
    location.replace(address);
  }

  // --- showing

  /** Shows the item of the plan's position, or says what is waited for. */
  private async show(): Promise<void> {
    if (this.isPaused || this.isMoved || this.practice) return;
    const item = this.plan.item;
    if (!item) {
      this.wait();
      return;
    }
    this.screens.hide();
    this.bar.showProgress(item.position, this.plan.total, item.is_practice);
    this.sheet = new AnswerSheet(this.config.questions, item.answers);
    this.form.reset(this.sheet, this.config.going_back && item.position > 0);
    this.root.dataset['state'] = 'loading';
    this.root.dataset['ahead'] = '0';
    const isShown = await this.stage.show(item);
    if (this.plan.item?.token !== item.token || this.isPaused || this.isMoved) return;
    this.root.dataset['state'] = isShown ? 'ready' : 'error';
    if (!isShown) return;
    this.shownAt = performance.now();
    this.look.begin(item, this.stage);
    this.form.setOpen(true);
    this.root.dataset['item'] = String(item.position + 1);
    performance.mark('item-shown', { detail: item.position });
    await this.loadAhead();
  }

  /** Loads the items that come next; `data-ahead` says how many of them are here. */
  private async loadAhead(): Promise<void> {
    const here = this.plan.here;
    let loaded = 0;
    for (const next of this.plan.ahead) {
      if (await this.loader.ahead(next)) loaded += 1;
      if (this.plan.here !== here) return;
      this.root.dataset['ahead'] = String(loaded);
    }
  }

  /** Nothing to show yet: the last answers are on their way, or the connection is lost. */
  private wait(): void {
    this.stage.clear();
    this.form.setOpen(false);
    this.root.dataset['state'] = 'waiting';
    coverWaiting(this.screens);
  }

  /** Takes in what the server says of the place, and acts on it. */
  private absorb(state: State): void {
    this.said = state;
    this.plan.absorb(state);
    this.act();
  }

  /** Acts on what the server said last, once nothing that was answered here can change it. */
  private act(): void {
    const state = this.said;
    if (!state || this.outbox.status.waiting > 0) return;
    if (['finished', 'closed', 'withdrawn', 'washout', 'not_open'].includes(state.phase)) {
      const { finish, welcome } = this.config.urls;
      if (this.outbox.isEmpty && !this.practice) this.leave(state.phase === 'finished' ? finish : welcome);
    } else if (!state.is_holder) this.moved();
    else if (this.isPaused || this.isMoved || this.practice) return;
    else if (state.phase === 'ready' || state.phase === 'paused') void this.resume();
    else if (state.phase === 'complete' && !this.plan.isLookingBack) this.offerFinish();
    else if (state.position > this.plan.here && !this.plan.isLookingBack) {
      this.plan.jump(state.position);
      void this.show();
    } else if (this.screens.current === 'waiting') void this.show();
    else void this.loadAhead();
  }

  private offerFinish(): void {
    if (this.screens.current === 'complete') return;
    this.plan.jump(this.plan.total);
    this.stage.clear();
    this.form.setOpen(false);
    coverComplete(this.screens, () => void this.finish(), () => void this.back());
  }

  private async finish(): Promise<void> {
    try {
      await this.outbox.flush();
      if (!this.outbox.isEmpty) return;
      await postJson<State>(this.config.urls.finish, { page: this.id });
      this.leave(this.config.urls.finish);
    } catch (error) {
      this.bar.say(error instanceof Error ? error.message : String(error), true);
    }
  }

  // --- answering

  /** One whole answer was given. */
  private answered(name: string, value: Value): void {
    const item = this.plan.item;
    if (!item || !this.sheet) return;
    if (performance.now() - this.shownAt < SLIP_MS) {
      this.bar.say('That was too quick to have been meant; the answer was not taken.', true);
      this.sheet = new AnswerSheet(this.config.questions, item.answers);
      this.form.reset(this.sheet, this.config.going_back && item.position > 0);
      this.form.setOpen(true);
      return;
    }
    item.answers = { ...item.answers, [name]: value };
    if (this.sheet.isOneKey) this.complete(item, { [name]: value });
    else this.post(item, { [name]: value }, false);
  }

  /** The reader is done with the item, if everything is answered. */
  private next(): void {
    if (this.practice) {
      this.afterPractice();
      return;
    }
    const item = this.plan.item;
    if (!item || !this.sheet || this.root.dataset['state'] !== 'ready') return;
    this.form.flushTexts();
    if (!this.sheet.isDone) {
      this.form.askForMissing();
      return;
    }
    if (this.plan.isLookingBack) this.goOn(item);
    else this.complete(item, {});
  }

  private complete(item: Item, answers: Values): void {
    performance.mark('item-answered', { detail: item.position });
    this.post(item, answers, true);
    if (item.is_practice && !this.plan.isLookingBack) {
      this.reportViewing();
      this.practice = item;
      this.form.close();
      this.bar.showFeedback(null);
      return;
    }
    this.goOn(item);
  }

  private goOn(item: Item): void {
    const wasBack = this.plan.isLookingBack;
    this.reportViewing();
    this.stage.clear();
    const token = this.plan.advance(this.config.going_back);
    if (token) void this.loader.release(token);
    if (wasBack && item.position + 1 >= this.plan.total) this.offerFinish();
    else void this.show().then(() => this.act());
  }

  private afterPractice(): void {
    const item = this.practice;
    if (!item || !this.bar.hasFeedback) return;
    this.practice = null;
    this.bar.hideFeedback();
    this.goOn(item);
  }

  private async back(): Promise<void> {
    const at = this.plan.here - 1;
    if (!this.config.going_back || at < 0 || this.practice) return;
    try {
      this.form.flushTexts();
      await this.outbox.flush();
      const state = await getJson<State>(`${this.config.urls.state}?page=${this.id}&at=${at}`);
      const item = state.items.find((one) => one.position === at);
      if (!item) {
        this.bar.say('There is nothing earlier to go back to.', true);
        return;
      }
      this.reportViewing();
      this.plan.goBack(item);
      this.screens.hide();
      await this.show();
    } catch (error) {
      this.bar.say(error instanceof Error ? error.message : String(error), true);
    }
  }

  // --- sending

  private post(item: Item, answers: Values, isComplete: boolean): void {
    const id = newId();
    const body = {
      page: this.id,
      submission: id,
      answers,
      seconds: this.look.secondsOf(item),
      is_complete: isComplete,
    };
    this.outbox.add({ id, kind: 'answers', token: item.token, body });
  }

  private send(entry: Entry): Promise<unknown> {
    const { urls } = this.config;
    const address = entry.kind === 'pause' ? urls.pause : urls[entry.kind].replace('ITEM', entry.token);
    return postJson(address, entry.body);
  }

  private arrived(entry: Entry, reply: unknown): void {
    if (entry.kind !== 'answers') {
      this.act();
      return;
    }
    const { outcome, feedback, state } = reply as Reply;
    if (outcome === 'set_aside') {
      this.bar.say('An answer came too late to count, because the item was answered elsewhere. It is kept apart.', true);
    }
    if (this.practice?.token === entry.token && entry.body['is_complete'] === true) {
      this.bar.showFeedback(feedback || 'No feedback is given for this image.', () => this.next());
    }
    this.absorb(state);
  }

  private async refused(entry: Entry, error: Error): Promise<void> {
    if (entry.kind !== 'answers') return;
    this.bar.say(`An answer was not accepted: ${error.message} Please answer this image again.`, true);
    await this.resume();
  }

  // --- looking

  /** Hands in how the present item was looked at; the look ends with it. */
  private reportViewing(): void {
    const ended = this.look.end(this.stage);
    if (!ended) return;
    const id = newId();
    this.outbox.add({ id, kind: 'viewing', token: ended.token, body: { submission: id, log: ended.log } });
    this.root.dataset['state'] = 'reported';
  }
}
