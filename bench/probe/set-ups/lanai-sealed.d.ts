import type { SetUp } from "../grade.js";

export declare const title: string;
declare const setUp: SetUp;
// biome-ignore lint/style/noDefaultExport: what the probe grades
export default setUp;
