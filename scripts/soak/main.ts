// One soak: people use two apps while a scheduler kills, freezes and cuts what they stand on, and everything
// that was acknowledged is checked. `npm run soak` starts it.
import { parseArgs } from "node:util";
import { machine } from "../evidence/machine.js";
import { record } from "../evidence/record.js";
import { randomFrom, seed } from "../testing/chance.ts";
import { type Counts, Person } from "./person.ts";
import { violationsOf } from "./room.ts";
import { setStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    people: { type: "string", default: "200" },
  },
});
const minutes = Number(values.minutes);
const size = Number(values.people);
/** The people of one room. */
const ROOM = 10;
/** How long things may take to come right when all is well again, in milliseconds: see `REVALIDATE`. */
const CALM = 60_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const random = randomFrom(seed);
const violations: string[] = [];
const violated = (what: string): void => {
  violations.push(what);
  console.log(what);
};

console.log(`${size} people for ${minutes} min; LANAI_SEED=${seed} repeats the random choices`);
await using stage = await setStage(random, (what) => violated(`S10: an app reported ${what}`));
const counts: Counts = {
  acknowledged: 0,
  failed: 0,
  unknown: 0,
  said: 0,
  shown: 0,
  gaps: 0,
};
const people = Array.from({ length: size }, (_, n) => {
  const room = `${Math.floor(n / ROOM)}`;
  const app = stage.apps[Number(room) % stage.apps.length];
  const url = () => app?.url ?? "";
  return new Person({ name: `person ${n}`, room, url, random, violated, counts });
});

const end = Date.now() + minutes * 60_000;
const isOver = (): boolean => Date.now() >= end;
const live = async (person: Person): Promise<void> => {
  while (!isOver()) {
    await sleep(random(4_000));
    if (!isOver()) await person.act();
  }
};
const accidents = new Map<string, number>();
const befall = async (): Promise<void> => {
  while (!isOver()) {
    await sleep(random(4_000));
    const name = stage.nextAccident();
    console.log(`${new Date().toISOString().slice(11, 19)} ${name}`);
    await stage.let(name);
    accidents.set(name, (accidents.get(name) ?? 0) + 1);
  }
};
await Promise.all([...people.map(live), befall()]);
console.log("calm");

/** Waits until it is so. @returns Whether it came to be. */
const becomes = async (isSo: () => boolean): Promise<boolean> => {
  for (const until = Date.now() + CALM; Date.now() < until; await sleep(100))
    if (isSo()) return true;
  return isSo();
};

// All is well again: everybody is signed in, and says one thing that everybody in the room must see.
await Promise.all(people.map((person) => person.settle()));
await Promise.all(people.map((person) => person.joined()));
const last = new Map<Person, number>();
await Promise.all(
  people.map(async (person) => {
    const before = person.said.length;
    while (person.said.length === before) await person.say();
    last.set(person, person.said.at(-1) ?? 0);
  }),
);
for (const person of people) {
  const others = people.filter(({ room }) => room === person.room);
  const missing = () =>
    others.filter(
      (it) =>
        !person.tab?.shown.some(
          (said) => said !== "gap" && said.by === it.name && said.n === last.get(it),
        ),
    );
  if (!(await becomes(() => missing().length === 0))) {
    violated(`${person.name}: B1: never saw the last of ${missing().map(({ name }) => name)}`);
  }
  if (!(await becomes(() => person.formerTabs.every((tab) => tab.hasEnded())))) {
    violated(`${person.name}: C1: a tab of a session that was ended is still live`);
  }
  const said = new Map(others.map((it) => [it.name, it.said]));
  for (const tab of [...person.formerTabs, ...(person.tab ? [person.tab] : [])]) {
    for (const what of violationsOf(tab.shown, said)) violated(`${person.name}: ${what}`);
  }
}

const count = new Intl.NumberFormat("en");
const sum = [...accidents.values()].reduce((a, b) => a + b, 0);
const text = [
  `- ${size} people with a cookie jar and a live tab each, for ${minutes} min: ${count.format(counts.acknowledged)} requests and ${count.format(counts.said)} messages acknowledged, ${count.format(counts.shown)} shown, ${count.format(counts.gaps)} gaps reported`,
  `- ${count.format(counts.failed)} requests with an error (503), ${count.format(counts.unknown)} requests and messages without an answer`,
  `- ${sum} accidents: ${[...accidents].map(([name, times]) => `${name} (${times})`).join(", ")}`,
  `- ${violations.length} broken promises`,
];
for (const line of text) console.log(line);
if (violations.length === 0) record("soak", { about: machine(), text: text.join("\n") });
for (const { tab, formerTabs } of people) for (const it of [tab, ...formerTabs]) it?.line.close();
process.exitCode = violations.length === 0 ? 0 : 1;
