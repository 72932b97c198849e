export interface Clock {
  readonly clock: () => number;
  advance(ms: number): void;
}

/** A clock that stands still, and moves when it is told to. */
export function stoppedClock(): Clock {
  let now = Date.now();
  return {
    clock: () => now,
    advance: (ms: number) => {
      now += ms;
    },
  };
}
