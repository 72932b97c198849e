import type { IndexedStore } from "@lanai/session/store";
import type { Exchange, HoldingProxy } from "./holding-proxy.ts";
import { outcomeOf, type Shown, stateOf } from "./model.ts";
import type { Call, Manners, Schedule } from "./schedule.ts";

/** A process of an app, with its own client. */
export interface RealWorker {
  readonly store: IndexedStore;
  readonly proxy: HoldingProxy;
  /** Resolves when the client has seen that its connections are broken. */
  hasSeenCut(): Promise<void>;
}

/** A store on a real server, by its real driver. */
export interface Driver extends Manners, AsyncDisposable {
  readonly workers: readonly RealWorker[];
  /** Returns how many requests a call sends when it has an answer; `round`: which it was, from 1. */
  following(call: Call, round: number, request: Buffer, answer: Buffer): number;
  /** A store on a connection that nothing disturbs. */
  readonly direct: IndexedStore;
}

interface Open {
  readonly worker: number;
  readonly call: Call;
  /** What was sent at once. */
  exchanges: Exchange[];
  rounds: number;
}

/** Plays a schedule on a real server. */
export async function playReal(schedule: Schedule, driver: Driver): Promise<Shown> {
  const workerOf = (number: number) => driver.workers[number] as RealWorker;
  const outcomes: Promise<string>[] = [];
  const open = new Map<number, Open>();
  const lateOnes = new Map<number, Exchange[]>();
  const openOf = (call: number) => open.get(call) as Open;

  const sent = async (worker: number, count: number): Promise<Exchange[]> => {
    const exchanges: Exchange[] = [];
    while (exchanges.length < count) exchanges.push(await workerOf(worker).proxy.next());
    return exchanges;
  };

  /** Lets the server carry out one round of requests; returns how many follow their answers. */
  const round = async (it: Open): Promise<number> => {
    const answers: Buffer[] = [];
    for (const exchange of it.exchanges) answers.push(await exchange.apply());
    it.rounds += 1;
    const { request } = it.exchanges[0] as Exchange;
    return driver.following(it.call, it.rounds, request, answers[0] as Buffer);
  };
  const goOn = async (it: Open, count: number): Promise<void> => {
    for (const exchange of it.exchanges) exchange.answer();
    it.exchanges = await sent(it.worker, count);
  };

  const cut = async (worker: number, late: readonly number[]): Promise<void> => {
    const cutOff = [...open].filter(([, it]) => it.worker === worker);
    const received = late.map((call) => openOf(call).exchanges[0] as Exchange);
    for (const [n, call] of late.entries())
      lateOnes.set(call, [...(lateOnes.get(call) ?? []), received[n] as Exchange]);
    const { proxy, hasSeenCut } = workerOf(worker);
    proxy.cut(received);
    await hasSeenCut();
    for (const [call, it] of cutOff) {
      if (driver.onCut === "resend") it.exchanges = await sent(worker, it.exchanges.length);
      else open.delete(call);
    }
  };

  for (const step of schedule.steps) {
    switch (step.do) {
      case "send": {
        const call = schedule.calls[step.call] as Call;
        outcomes[step.call] = outcomeOf(workerOf(step.worker).store, call);
        const exchanges = await sent(step.worker, 1);
        open.set(step.call, { worker: step.worker, call, exchanges, rounds: 0 });
        break;
      }
      case "apply": {
        const it = openOf(step.call);
        for (let more = await round(it); more > 0; more = await round(it)) await goOn(it, more);
        break;
      }
      case "answer":
        for (const exchange of openOf(step.call).exchanges) exchange.answer();
        open.delete(step.call);
        await outcomes[step.call];
        break;
      case "late":
        await lateOnes.get(step.call)?.shift()?.apply();
        break;
      case "cut": {
        if (step.midway !== undefined) {
          const it = openOf(step.midway);
          const more = await round(it);
          if (more > 0) await goOn(it, more);
        }
        await cut(step.worker, step.late);
      }
    }
  }
  const came = await Promise.all(outcomes);
  const state = await stateOf(driver.direct, schedule);
  return [...came.map((outcome, call) => `${call}: ${outcome}`), ...state];
}
