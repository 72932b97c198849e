import type { Graded } from "./grade.js";

type Grades = Readonly<Record<string, Graded>>;
export declare const comparison: (
  graded: readonly { readonly title: string; readonly grades: Grades }[],
) => string;
export declare const report: (grades: Grades) => string;
