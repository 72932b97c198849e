import { expect, test } from "vitest";
import { tally } from "../reports.js";

const report = (...statuses: string[]) => ({
  testResults: [
    {
      name: "a.test.ts",
      status: statuses.includes("failed") ? "failed" : "passed",
      assertionResults: statuses.map((status) => ({ status, fullName: "a fact" })),
    },
  ],
});
const sum = (code: number, found: unknown) => {
  const { passed, problems } = tally(
    [{ step: "test", code }],
    [{ step: "test", name: "test", report: found }],
  );
  return { passed, failed: problems.length };
};

test("passed tests count", () => {
  expect(sum(0, report("passed", "passed"))).toEqual({ passed: 2, failed: 0 });
});

test("a failed test counts once, though its step failed too", () => {
  expect(sum(1, report("passed", "failed"))).toEqual({ passed: 1, failed: 1 });
});

test("a failure is shown with its reason, without most of a long stack", () => {
  const stack = Array.from({ length: 40 }, (_, n) => `at line ${n}`).join("\n");
  const failed = {
    status: "failed",
    fullName: "a fact",
    failureMessages: [`Error: it is otherwise\n${stack}`],
  };
  const found = {
    testResults: [{ name: "a.test.ts", status: "failed", assertionResults: [failed] }],
  };
  const { problems } = tally([], [{ step: "test", name: "test", report: found }]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/^test: failed: a fact\n {4}Error: it is otherwise\n {4}at line 0\n/);
  expect(problems[0]).not.toContain("at line 20");
});

test.for(["pending", "skipped", "todo", "disabled"])("a test that is %s is a failure", (status) => {
  expect(sum(0, report("passed", status))).toEqual({ passed: 1, failed: 1 });
});

test("a file that did not load is a failure", () => {
  const broken = { name: "b.test.ts", status: "failed", assertionResults: [] };
  const found = { testResults: [...report("passed").testResults, broken] };
  expect(sum(1, found)).toEqual({ passed: 1, failed: 1 });
});

test("a run without a report, or without tests, is a failure", () => {
  expect(sum(0, undefined)).toEqual({ passed: 0, failed: 1 });
  expect(sum(0, { testResults: [] })).toEqual({ passed: 0, failed: 1 });
});

test("a step that fails while its tests pass is a failure", () => {
  expect(sum(1, report("passed"))).toEqual({ passed: 1, failed: 1 });
});

test("a failed step without tests of its own is a failure", () => {
  const { problems } = tally([{ step: "lint", code: 2 }], []);
  expect(problems).toEqual(["lint: exited with 2"]);
});
