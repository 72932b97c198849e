/** The longest part of a failure's message that is shown, in lines. */
const LINES = 15;

/** Why a test failed, or a file didn't load: the whole output may be cut off before its end. */
const reasonOf = (messages) =>
  messages.flatMap((message) => `\n${message}`.split("\n").slice(0, LINES)).join("\n    ");

/** What one of Vitest's reports says. A skipped test and a file that didn't load are failures. */
const countReport = (name, report) => {
  if (!report) return { passed: 0, problems: [`${name}: no report`] };
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const broken = report.testResults.filter(
    (file) =>
      file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: tests.filter((test) => test.status === "passed").length,
    problems: [
      ...tests
        .filter((test) => test.status !== "passed")
        .map(
          ({ status, fullName, failureMessages = [] }) =>
            `${name}: ${status}: ${fullName}${reasonOf(failureMessages)}`,
        ),
      ...broken.map(
        ({ name: file, message = "" }) =>
          `${name}: failed to run: ${file}${reasonOf(message ? [message] : [])}`,
      ),
      ...(tests.length === 0 ? [`${name}: no tests ran`] : []),
    ],
  };
};

/** Adds the steps: one that failed without a failed test counts as one failure. */
export const tally = (steps, reports) => {
  const counted = reports.map(({ step, name, report }) => ({ step, ...countReport(name, report) }));
  const silent = steps.filter(
    ({ step, code }) =>
      code !== 0 && !counted.some((count) => count.step === step && count.problems.length > 0),
  );
  return {
    passed: counted.reduce((sum, count) => sum + count.passed, 0),
    problems: [
      ...counted.flatMap((count) => count.problems),
      ...silent.map(({ step, code }) => `${step}: exited with ${code}`),
    ],
  };
};
