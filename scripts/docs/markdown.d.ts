export function slugOf(heading: string): string;
export function headingsOf(markdown: string): string[];
export function anchorsOf(markdown: string): string[];
export function outsideCode(markdown: string, change: (part: string) => string): string;
export function withLinks(markdown: string, change: (target: string) => string): string;
