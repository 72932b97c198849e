/**
 * Returns a copy of a text for keeping. A part of a longer text, such as one cookie of a header, keeps
 * all of that in memory otherwise, and a joined one both of its parts.
 */
export const flat = (text: string): string => Buffer.from(text).toString();
