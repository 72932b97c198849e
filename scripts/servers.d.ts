export declare const programPath: (name: string) => string;
export declare const installServers: () => void;
