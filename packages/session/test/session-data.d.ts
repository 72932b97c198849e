import "@lanai/session";

/** For session.test-d.ts. It holds for all tests, which use no other of these names. */
declare module "@lanai/session" {
  interface SessionData {
    typedCart: { items: string[] };
    typedTheme: "dark" | "light";
    typedVisits: number;
  }
}
