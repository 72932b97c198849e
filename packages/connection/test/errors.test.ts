import { inspect } from "node:util";
import { CodedError } from "@lanai/connection/errors";
import { expect, test } from "vitest";

class ExampleError extends CodedError<"ERR_EXAMPLE_DOWN"> {
  override readonly name = "ExampleError";
}

test("an error has its name, code and message, and is a 500 that isn't shown", () => {
  const error = new ExampleError("ERR_EXAMPLE_DOWN", "the example is down");
  expect(error).toBeInstanceOf(Error);
  expect({ ...error, message: error.message }).toEqual({
    name: "ExampleError",
    code: "ERR_EXAMPLE_DOWN",
    status: 500,
    expose: false,
    message: "the example is down",
  });
  expect("cause" in error).toBe(false);
  expect("headers" in error).toBe(false);
  expect(inspect(error)).toMatch(/^ExampleError: the example is down/);
});

test("an error carries its cause, also if that is undefined, and what Koa answers with", () => {
  const headers = { "Retry-After": "1" };
  const details = { cause: undefined, status: 503, expose: true, headers };
  const error = new ExampleError("ERR_EXAMPLE_DOWN", "down", details);
  expect("cause" in error).toBe(true);
  expect(error).toMatchObject({ status: 503, expose: true, headers });
});
