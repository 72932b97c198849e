import { AsyncLocalStorage } from "node:async_hooks";

/** A request, for calls that may end its session. */
interface Endable {
  wasEnded(publicId: string): void;
  /** Calls `fn` when nothing can be written to the session any more. */
  whenClosed(fn: () => void): void;
}

/** The request in which code runs, wherever a call of the app may have led it. */
interface Scope {
  /**
   * The request. Whatever is begun in a request keeps its scope alive, such as a timer, so that
   * the scope lets go of the request when that is done.
   */
  request: Endable | undefined;
  /** Sessions that were loaded before this call for everyone have been ended by it. */
  readonly ended?: { before: number };
}

/**
 * Has a request notice that something which it calls has ended its own session.
 *
 * - A request whose session has an owner runs in a scope, in which an end finds the request.
 * - Other requests run in none, because a scope would cost all of them time, and only a call for everyone
 *   ends their sessions. That call leaves a mark in the context of its caller, and the request looks for
 *   the mark when it uses its session next. A function that awaits something before it makes the call
 *   has a context of its own: its caller doesn't see the mark, and what the request then writes is
 *   reported as gone.
 */
export class OwnEnds {
  readonly #scope = new AsyncLocalStorage<Scope>();
  #begun = 0;

  /** The number of calls for everyone that have begun. A session keeps it from when it was loaded. */
  get begun(): number {
    return this.#begun;
  }

  async run(request: Endable, fn: () => Promise<unknown>): Promise<void> {
    const scope: Scope = { request };
    try {
      await this.#scope.run(scope, fn);
    } finally {
      scope.request = undefined;
    }
  }

  /** Puts what runs now and all that it calls later into the scope of a request. */
  enter(request: Endable): void {
    if (this.#scope.getStore()?.request === request) return;
    const scope: Scope = { request };
    this.#scope.enterWith(scope);
    request.whenClosed(() => {
      scope.request = undefined;
    });
  }

  /** Called with each session that was ended, before that is reported. */
  readonly onEnded = (publicId: string): void => {
    this.#scope.getStore()?.request?.wasEnded(publicId);
  };

  /** Makes a call that ends every session. If it fails, which of them it has ended isn't known. */
  async endEveryone(destroy: () => Promise<number>): Promise<number> {
    this.#begun += 1;
    const call = this.#begun;
    const scope = this.#scope.getStore();
    const ended = { before: scope?.ended?.before ?? 0 };
    if (!scope?.request) this.#scope.enterWith({ request: undefined, ended });
    const count = await destroy();
    ended.before = call;
    return count;
  }

  /** Whether the code that runs has ended a session by a call for everyone. */
  hasEnded({ loadedAfter }: { readonly loadedAfter: number }): boolean {
    if (this.#begun === 0) return false;
    return loadedAfter < (this.#scope.getStore()?.ended?.before ?? 0);
  }
}
