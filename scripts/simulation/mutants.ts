import type { Mutant } from "./plant.ts";

const store = "packages/session/src/stores/memory-store.ts";
const request = "packages/session/src/request";

/** Each takes one promise of the laws away, in the store or in the request's session. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "a key of before a sign-in still accepts writes",
    file: store,
    from: "(renewTo !== undefined || isBarred(key))",
    to: "renewTo !== undefined",
  },
  {
    name: "a commit that is sent again is applied again",
    file: store,
    from: 'const first = applied && operation !== "" && answerTo(applied, operation);',
    to: "const first = undefined;",
  },
  {
    name: "an end that is sent again says that there was nothing to end",
    file: store,
    from: "const ended = ends.get(operation) ?? due().map(end);",
    to: "const ended = due().map(end);",
  },
  {
    name: "a change is applied although what it expects doesn't hold",
    file: store,
    from: "if (!holds(change, record)) return",
    to: "if (!holds(change, record) && isOld) return",
  },
  {
    name: "an end leaves the session under its key",
    file: store,
    from: "entries.delete(session.key);\n    for (const key of session.oldKeys",
    to: "for (const key of session.oldKeys",
  },
  {
    name: "an end of all sessions spares one",
    file: store,
    from: "const due = () => findAll(owner).filter(({ record }) => record.publicId !== except);",
    to: "const due = () => findAll(owner).slice(1);",
  },
  {
    name: "a sign-in keeps the session's id",
    file: `${request}/saving.ts`,
    from: "const { renewal } = draft;\n",
    to: "const { renewal: asked } = draft;\n    const renewal = asked === 'login' ? undefined : asked;\n",
  },
  {
    name: "a conflict's record replaces nothing, so that the retry writes the old values",
    file: `${request}/stored-session.ts`,
    from: 'else if (result.status === "conflict") this.record = result.record;',
    to: 'else if (result.status === "conflict") return { status: "saved", key: this.#key };',
  },
  {
    name: "two pops of one message both return it",
    file: `${request}/atomic.ts`,
    from: "delete: new Set(expect.keys()), expect, touch: true",
    to: "delete: new Set(expect.keys()), touch: true",
  },
  {
    name: "an update expects nothing",
    file: `${request}/atomic.ts`,
    from: "expect: new Map([[name, text]]),",
    to: "",
  },
  {
    name: "a session whose id no client has received is left behind",
    file: `${request}/unheld.ts`,
    from: "if (isUnheld()) void endNow(",
    to: "if (store === undefined) void endNow(",
  },
  {
    name: "what a store does after its deadline is undone by nobody",
    file: "packages/session/src/manager/call-store.ts",
    from: "if (onLate) answer.then(onLate, () => {});",
    to: "",
  },
  {
    name: "an end is not reported",
    file: "packages/session/src/manager/ends.ts",
    from: 'call.isReported = true;\n    await this.report(ended, "destroyed");',
    to: "call.isReported = true;",
  },
  {
    name: "a session that no client will hold is left behind if its end is lost, too",
    file: `${request}/unheld.ts`,
    from: "call().catch(() => retryLater(call))",
    to: "call().catch(() => undefined)",
  },
  {
    name: "a deadline doesn't let the event loop turn first",
    file: "packages/connection/src/deadline.ts",
    from: "    cancelTurn = afterTurn(fn);\n  }, ms);",
    to: "    fn();\n  }, ms);",
  },
  {
    name: "a response is sent before its session is saved",
    file: `${request}/departure.ts`,
    from: "return this.#leaving;\n      }\n    } catch",
    to: "this.#leaving = this.send();\n        return this.#leaving;\n      }\n    } catch",
  },
];
