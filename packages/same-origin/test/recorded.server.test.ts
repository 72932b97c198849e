import { expect, test } from "vitest";
import { record } from "./record.ts";
import { RECORDED } from "./recorded.ts";

test("Chromium and curl send what the table holds, and each request is treated as it says", async () => {
  expect(await record()).toEqual(RECORDED);
});
