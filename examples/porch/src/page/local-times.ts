/// <reference lib="dom" />
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/** Returns an instant in the reader's own zone; without the day if that is today. */
export function localTime(date: Date): string {
  const isToday = date.toDateString() === new Date().toDateString();
  return (isToday ? today : format).format(date);
}

/** Writes every time in the reader's own zone, which the server can't know. */
export function showLocalTimes(part: ParentNode): void {
  for (const time of part.querySelectorAll("time")) {
    time.textContent = localTime(new Date(time.dateTime));
  }
}
