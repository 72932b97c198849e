/** What a route does with the session. */
export const SCENARIOS = {
  a: { path: "/plain", cookies: true, label: "with a cookie, session left alone" },
  b: { path: "/read", cookies: true, label: "reads one key" },
  c: { path: "/write", cookies: true, label: "writes one key" },
  d: { path: "/plain", cookies: false, label: "without a cookie" },
};
