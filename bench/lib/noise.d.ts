export interface CoreTimes {
  readonly programs: number;
  readonly all: number;
}
export interface Noise {
  readonly isTooNoisy: boolean;
  readonly text: string;
}
export declare const coreTimes: (cpu: string, stat?: string) => CoreTimes;
export declare const watchCore: (
  cpu: string,
  read?: (cpu: string) => CoreTimes,
) => (own: number) => number;
export declare const judgeNoise: (shares: readonly number[]) => Noise;
