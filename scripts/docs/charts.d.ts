export function charts(): Readonly<Record<string, string>>;
