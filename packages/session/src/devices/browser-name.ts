/** Headers longer than this, in UTF-16 code units, are no browser's. */
const LONGEST = 512;

type NamePatterns = readonly (readonly [name: string, pattern: RegExp])[];

/** Browsers by what only they say: those that also say the name of another one come before it. */
const BROWSERS: NamePatterns = [
  ["Edge", /\b(?:Edg|EdgA|EdgiOS|Edge)\//],
  ["Opera", /\b(?:OPR|OPX|OPT|Opera)\//],
  ["Samsung Internet", /\bSamsungBrowser\//],
  ["Vivaldi", /\bVivaldi\//],
  ["DuckDuckGo", /\b(?:DuckDuckGo|Ddg)\//],
  ["Yandex Browser", /\bYaBrowser\//],
  ["Firefox", /\b(?:Firefox|FxiOS)\//],
  ["Chromium", /\bChromium\//],
  ["Chrome", /\b(?:Chrome|CriOS|HeadlessChrome)\//],
  ["Safari", /\bVersion\/[\d.]+ (?:Mobile\/\w+ )?Safari\//],
];

/** Systems: an iPhone also says Mac OS X, and Android and ChromeOS also say Linux or X11. */
const SYSTEMS: NamePatterns = [
  ["iPhone", /\(iPhone;/],
  ["iPad", /\(iPad;/],
  ["Android", /\bAndroid\b/],
  ["ChromeOS", /\bCrOS /],
  ["Windows", /\bWindows NT /],
  ["macOS", /\bMacintosh;/],
  ["Linux", /\bLinux\b/],
];

/**
 * Returns the browser and the system that a `User-Agent` header names (RFC 9110, 10.1.5), such as "Firefox
 * on Linux", and `undefined` if it isn't one of the common browsers on one of the common systems. There are
 * no versions: a list would show them long after an update, and browsers no longer send true ones.
 */
export function browserName(userAgent: string): string | undefined {
  if (userAgent.length > LONGEST || !userAgent.startsWith("Mozilla/5.0 (")) return undefined;
  const [browser, system] = [firstIn(BROWSERS, userAgent), firstIn(SYSTEMS, userAgent)];
  return browser && system && `${browser} on ${system}`;
}

const firstIn = (names: NamePatterns, text: string): string | undefined =>
  names.find(([, pattern]) => pattern.test(text))?.[0];
