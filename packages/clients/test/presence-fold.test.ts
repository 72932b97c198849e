import { expect, test } from "vitest";
import { isLong, type Random, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { playRounds } from "../../../scripts/testing/rounds.ts";
import type { PresentListener } from "../src/presence/types.ts";
import { type Emitted, GRACES, INTERVAL, Simulation } from "./presence-simulation.ts";

const USERS = ["ada", "bob", "cleo"];

function fold(emitted: readonly Emitted[]): Map<string, PresentListener> {
  const present = new Map<string, PresentListener>();
  for (const { name, listener } of emitted) {
    if (name === "join") present.set(listener.id, listener);
    if (name === "leave") present.delete(listener.id);
  }
  return present;
}

const sorted = (listeners: Iterable<PresentListener>): string[] =>
  Array.from(listeners, (it) => JSON.stringify(it)).sort();

/** Whatever has happened: the truth, `presence()` in each process and the fold of the events agree. */
function expectAgreement(simulation: Simulation): void {
  const truth = simulation.alive.flatMap(({ listeners }) => [...listeners.values()]);
  expect(sorted(fold(simulation.emitted).values())).toEqual(sorted(truth));
  for (const { board, name } of simulation.alive) {
    for (const user of USERS) {
      const mine = truth.filter((it) => it.user === user);
      expect([name, user, board.of(`user:${user}`)]).toMatchObject([
        name,
        user,
        {
          listeners: mine.length,
          sessions: new Set(mine.map((it) => it.session)).size,
          clients: new Set(mine.map((it) => it.client)).size,
        },
      ]);
    }
  }
}

/** Whenever the fold had nobody left of a client or a user, and nobody came back, `empty` followed. */
function expectEmpties(simulation: Simulation): void {
  const present = new Map<string, PresentListener>();
  const missing = new Set<string>();
  const keysOf = (it?: PresentListener) => (it ? [`user:${it.user}`, `client:${it.client}`] : []);
  for (const { name, listener, key } of simulation.emitted) {
    if (name === "empty") {
      missing.delete(key);
      continue;
    }
    const before = keysOf(present.get(listener.id));
    if (name === "join") present.set(listener.id, listener);
    else present.delete(listener.id);
    const occupied = new Set([...present.values()].flatMap(keysOf));
    for (const one of before) if (!occupied.has(one)) missing.add(one);
    for (const one of occupied) missing.delete(one);
  }
  expect([...missing]).toEqual([]);
}

/** One random act of a visitor: a tab comes, goes, signs in as another, or gets a new session. */
function visit(simulation: Simulation, random: Random, id: number): void {
  const able = simulation.alive.filter((it) => !it.isPaused);
  const process = able[random(able.length)];
  if (process === undefined) return;
  const all = [...process.listeners.values()];
  const one = all[random(all.length)];
  const user = USERS[random(USERS.length)] ?? "";
  const act = random(5);
  if (one === undefined || act < 2) {
    const client = `c${random(4)}`;
    simulation.join(process, { id: `tab-${id}`, client, session: `s-${client}-${user}`, user });
  } else if (act === 2) {
    simulation.join(process, { ...one, user, session: `s-${one.client}-${user}` });
  } else if (act === 3) {
    simulation.join(process, { ...one, session: `s-${id}` });
  } else {
    simulation.leave(process, one.id);
  }
}

async function heal(simulation: Simulation): Promise<void> {
  for (const process of simulation.alive) process.isPaused = false;
  const moved = simulation.alive.filter((it) => it.side !== 1);
  for (const process of moved) simulation.move(process, 1);
  // The bus reports a gap to those that it had lost.
  for (const { board } of moved) board.resync();
  await simulation.pass(10 * INTERVAL);
}

test("C8: the fold of all processes' events agrees with presence, through outages, pauses, kills, splits, renewals and changes of user", async () => {
  await playRounds({
    least: isLong ? 1_000 : 60,
    orders: ["cut", "split", "pause", "kill", "two killed at once", "goodbye"],
    async round(n, report) {
      const random = randomFrom(seed + n);
      const grace = GRACES[random(GRACES.length)] as number;
      const simulation = new Simulation(random, grace);
      for (let i = 0; i < 3 + random(3); i++) {
        simulation.start();
        await simulation.pass(random(INTERVAL));
      }
      await simulation.pass(2 * INTERVAL);
      for (let step = 0; step < 30; step++) {
        for (let i = random(4); i > 0; i--) visit(simulation, random, step * 10 + i);
        await simulation.pass(random(INTERVAL));
        const { alive } = simulation;
        const one = alive[random(alive.length)];
        const act = random(12);
        if (one === undefined) continue;
        if (act === 0) {
          report("cut");
          simulation.move(one, 0);
        } else if (act === 1) {
          report("split");
          for (const it of alive) simulation.move(it, 1 + random(2));
        } else if (act === 2) {
          report("pause");
          one.isPaused = true;
        } else if (act === 3) {
          await heal(simulation);
          expectAgreement(simulation);
        } else if (act === 4 && alive.length > 3) {
          // What a process emits while it is cut off, nobody can correct when it is killed then.
          await heal(simulation);
          const victims = alive.slice(0, 1 + random(2));
          if (victims.length === 2) report("two killed at once");
          report("kill");
          for (const victim of victims) simulation.kill(victim);
          simulation.start();
        } else if (act === 5 && alive.length > 3) {
          await heal(simulation);
          report("goodbye");
          simulation.stop(one);
          simulation.start();
        } else if (act < 8) {
          await simulation.pass(random(5 * INTERVAL));
        }
      }
      await heal(simulation);
      expectAgreement(simulation);
      await simulation.pass(grace + 8 * INTERVAL);
      expectEmpties(simulation);
    },
  });
});

test("C8: while the bus is whole, each join, leave and empty is emitted once, also when processes are killed", async () => {
  await playRounds({
    least: isLong ? 500 : 40,
    orders: ["kill", "goodbye"],
    async round(n, report) {
      const random = randomFrom(seed + n);
      const grace = GRACES[random(GRACES.length)] as number;
      const simulation = new Simulation(random, grace);
      for (let i = 0; i < 4; i++) {
        simulation.start();
        await simulation.pass(random(INTERVAL));
      }
      await simulation.pass(2 * INTERVAL);
      let joined = 0;
      for (let step = 0; step < 30; step++) {
        const { alive } = simulation;
        const process = alive[random(alive.length)];
        const [first] = process?.listeners.values() ?? [];
        if (process === undefined) continue;
        if (first === undefined || random(2) === 0) {
          const id = `tab-${joined++}`;
          simulation.join(process, {
            id,
            client: `c-${id}`,
            session: `s-${id}`,
            user: `u-${id}`,
          });
        } else {
          simulation.leave(process, first.id);
        }
        await simulation.pass(random(INTERVAL));
        if (alive.length < 3) continue;
        const act = random(12);
        if (act === 0) {
          report("goodbye");
          simulation.stop(process);
        } else if (act === 1) {
          report("kill");
          for (const victim of alive.slice(0, 1 + random(alive.length - 2)))
            simulation.kill(victim);
        }
      }
      for (const process of simulation.alive) {
        for (const id of [...process.listeners.keys()]) simulation.leave(process, id);
      }
      await simulation.pass(20 * INTERVAL);
      const count = new Map<string, number>();
      for (const { name, key } of simulation.emitted) {
        count.set(`${name} ${key}`, (count.get(`${name} ${key}`) ?? 0) + 1);
      }
      const expected = new Map<string, number>();
      for (let i = 0; i < joined; i++) {
        const names = [`join tab-${i}`, `leave tab-${i}`, `empty user:u-tab-${i}`];
        for (const name of [...names, `empty client:c-tab-${i}`]) expected.set(name, 1);
      }
      const wrong = [...new Set([...count.keys(), ...expected.keys()])].filter(
        (name) => count.get(name) !== expected.get(name),
      );
      expect(wrong.map((name) => `${name}: ${count.get(name) ?? 0}`)).toEqual([]);
    },
  });
});

test("while the bus is down for all, no process loses another, and nothing is emitted", async () => {
  const simulation = new Simulation(randomFrom(1));
  const [a, b] = [simulation.start(), simulation.start()];
  await simulation.pass(INTERVAL);
  simulation.join(a, { id: "tab", user: "ada" });
  await simulation.pass(INTERVAL);
  expect(simulation.emitted.splice(0)).toHaveLength(1);
  for (const process of [a, b]) simulation.move(process, 0);
  await simulation.pass(10 * INTERVAL);
  for (const process of [a, b]) simulation.move(process, 1);
  await simulation.pass(5 * INTERVAL);
  expect(simulation.emitted).toEqual([]);
  for (const { board } of [a, b]) expect(board.of("user:ada").listeners).toBe(1);
});

test("a process that stood still is told that it was lost, and emits join for its listeners once", async () => {
  const simulation = new Simulation(randomFrom(1));
  const [a] = [simulation.start(), simulation.start(), simulation.start()];
  await simulation.pass(INTERVAL);
  simulation.join(a, { id: "tab", client: "c", session: "s", user: "ada" });
  await simulation.pass(INTERVAL);
  a.isPaused = true;
  await simulation.pass(10 * INTERVAL);
  a.isPaused = false;
  await simulation.pass(10 * INTERVAL);
  const told = simulation.emitted.map(({ name, key }) => `${name} ${key}`);
  expect(told).toEqual(["join tab", "leave tab", "empty client:c", "empty user:ada", "join tab"]);
  expect(simulation.emitted.at(-1)?.by).toBe(a.name);
  expectAgreement(simulation);
});
