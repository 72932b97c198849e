/**
 * A schema as zod, valibot, arktype and others make them (standardschema.dev, version 1): the part of
 * that interface which is needed to check a received message.
 */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
  };
}

/** The result of a schema's `validate`: the value that it accepts, or why it doesn't. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One reason why a schema doesn't accept a value. */
export interface SchemaIssue {
  /** The explanation, for people. */
  readonly message: string;
  /** The place in the value, from the outside in. Missing for the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
