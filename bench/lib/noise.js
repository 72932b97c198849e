import { readFileSync } from "node:fs";
import { fixed } from "./text.js";

/** The part of a core that others may have for a sample to count as undisturbed. */
const BEARABLE = 0.05;
/** The part of the samples that may be disturbed before nothing can be told. */
const DISTURBED = 0.2;

/** Hundredths of a second that a core has spent: on programs or stolen by the host, and in all. */
export const coreTimes = (cpu, stat = readFileSync("/proc/stat", "utf8")) => {
  const line = stat.split("\n").find((it) => it.startsWith(`cpu${cpu} `));
  const [user, nice, system, idle, iowait, irq, softirq, steal] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const programs = user + nice + system + steal;
  return { programs, all: programs + idle + iowait + irq + softirq };
};

/**
 * Begins to watch a core. What it returns ends that, and returns which part of the core's time went to
 * other programs than one that had `own` seconds of it, or to the host's other guests.
 */
export const watchCore = (cpu, read = coreTimes) => {
  const before = read(cpu);
  return (own) => {
    const after = read(cpu);
    const others = (after.programs - before.programs) / 100 - own;
    return Math.max(0, others / ((after.all - before.all) / 100));
  };
};

/** Whether a run's samples can tell anything, and the sentence that says so. */
export const judgeNoise = (shares) => {
  const worst = `${fixed(Math.max(0, ...shares) * 100, 1)} %`;
  const disturbed = shares.filter((share) => share > BEARABLE).length;
  if (disturbed > shares.length * DISTURBED) {
    return {
      isTooNoisy: true,
      text: `**The machine was too noisy to tell anything**: in ${disturbed} of ${shares.length} samples other programs, or the host's other guests, had more than ${BEARABLE * 100} % of the measured core (${worst} at worst). Run it again when the machine is idle.`,
    };
  }
  return {
    isTooNoisy: false,
    text: `Other programs had at most ${worst} of the measured core${disturbed > 0 ? ` (over ${BEARABLE * 100} % in ${disturbed} of ${shares.length} samples)` : ""}.`,
  };
};
