import { describe, expect, test } from "vitest";
import { draw } from "../../bench/lib/chart.js";
import { cpusIn, planCores } from "../../bench/lib/cores.js";
import { coreTimes, judgeNoise, watchCore } from "../../bench/lib/noise.js";
import { progress } from "../../bench/lib/progress.js";

describe("cores", () => {
  test.for<[list: string, cpus: number[]]>([
    ["0", [0]],
    ["0-3", [0, 1, 2, 3]],
    ["1,4-5,8", [1, 4, 5, 8]],
  ])("%s is %j", ([list, cpus]) => {
    expect(cpusIn(list)).toEqual(cpus);
  });

  test.for<[cpus: number[], server: string, redis: string, load: string[]]>([
    [[0, 1], "0", "1", ["1"]],
    [[2, 5, 7], "2", "5", ["7"]],
    [[0, 1, 2, 3], "0", "1", ["2", "3"]],
    [[0, 1, 2, 3, 4, 5], "0", "1", ["2", "3"]],
  ])("of %j the server has one to itself", ([cpus, server, redis, load]) => {
    expect(planCores(cpus)).toEqual({ server, redis, load });
  });

  test("one is too few", () => {
    expect(() => planCores([0])).toThrow("needs two cores");
  });
});

describe("noise", () => {
  const stat = "cpu  9 9 9 9 9 9 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 100 5 50 800 10 3 4 28 0 0\n";

  test("a core's time is what the kernel says of that core", () => {
    expect(coreTimes("1", stat)).toEqual({ programs: 183, all: 1000 });
  });

  test("what neither the server nor idleness had is others'", () => {
    const times = [
      { programs: 100, all: 1_000 },
      { programs: 260, all: 1_200 },
    ];
    const read = () => times.shift() ?? { programs: 0, all: 0 };
    expect(watchCore("0", read)(1.5)).toBeCloseTo(0.05);
  });

  test("a run that was left alone says how little disturbed it", () => {
    expect(judgeNoise([0, 0.01, 0.049])).toEqual({
      isTooNoisy: false,
      text: "Other programs had at most 4.9 % of the measured core.",
    });
  });

  test("a fifth of the samples may be disturbed, and is counted", () => {
    const { isTooNoisy, text } = judgeNoise([0, 0, 0, 0, 0.3]);
    expect(isTooNoisy).toBe(false);
    expect(text).toBe(
      "Other programs had at most 30.0 % of the measured core (over 5 % in 1 of 5 samples).",
    );
  });

  test("more than that is too noisy to tell anything", () => {
    const { isTooNoisy, text } = judgeNoise([0, 0.3, 0.06, 0]);
    expect(isTooNoisy).toBe(true);
    expect(text).toMatch(
      /too noisy to tell anything\*\*: in 2 of 4 samples .+ \(30\.0 % at worst\)/,
    );
  });
});

describe("a chart", () => {
  const bars = draw({
    kind: "bars",
    title: "requests <a second>",
    rows: [
      { label: "ours", value: 2, isOurs: true },
      { label: "peer & co", value: 1 },
    ],
    format: (value) => value.toFixed(1),
  });

  test("is drawn for light and for dark pages, in other colours alone", () => {
    const shape = (svg: string) => svg.replaceAll(/#[0-9a-f]{6}/g, "");
    expect(bars.light).not.toBe(bars.dark);
    expect(shape(bars.light)).toBe(shape(bars.dark));
  });

  test("has bars as long as their values, and texts that are no markup", () => {
    const widths = [...bars.light.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, it]) =>
      Number(it),
    );
    expect(widths[0]).toBeCloseTo(2 * (widths[1] ?? 0));
    expect(bars.light).toContain("requests &lt;a second>");
    expect(bars.light).toContain("peer &amp; co");
  });

  test("has lines through its points, over powers of ten", () => {
    const { light } = draw({
      kind: "lines",
      title: "cost",
      x: "sessions",
      y: "µs",
      series: [
        {
          name: "memory",
          points: [
            [1_000, 1],
            [1_000_000, 100],
          ],
        },
      ],
    });
    expect(light).toMatch(/<path d="M60\.0 300\.0L590\.0 58\.0"/);
    for (const tick of ["1K", "10K", "100K", "1M"]) expect(light).toContain(`>${tick}<`);
  });
});

test("progress is one line on a terminal, and a line a step elsewhere", () => {
  const said = (isTTY: boolean) => {
    const written: string[] = [];
    const advance = progress(2, { isTTY, write: (text) => written.push(text) });
    advance("one");
    advance("two");
    return written;
  };
  expect(said(false)).toEqual(["[1/2] one\n", "[2/2] two\n"]);
  expect(said(true)).toEqual(["\r\x1b[K[1/2] one", "\r\x1b[K[2/2] two\n"]);
});
