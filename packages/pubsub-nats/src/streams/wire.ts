/**
 * Returns a subject's name on the server. Reserved subjects, which begin with `$`, are outside
 * `<prefix>.>`, so that no wildcard and no stream of an app matches them.
 */
export const wireOf = (prefix: string, subject: string): string =>
  subject.startsWith("$") ? prefix + subject : `${prefix}.${subject}`;

/** Whether a subject of the server is one of these. */
export const isOurs = (prefix: string, wire: string): boolean =>
  wire.startsWith(`${prefix}.`) || wire.startsWith(`${prefix}$`);
