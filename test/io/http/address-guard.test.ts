import { describe, expect, it } from "vitest";
import { ForbiddenAddressError, guardLookup } from "../../../src/io/http/address-guard.ts";

describe("guardLookup", () => {
  /** What a look-up of `agent.example` comes to when it is said to be there. */
  function lookUp(...found: readonly string[]) {
    const guarded = guardLookup((_, __, callback) =>
      callback(
        null,
        found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      ),
    );
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    guarded("agent.example", { all: true }, (error, addresses) =>
      error ? reject(error) : resolve(addresses),
    );
    return promise;
  }

  it("lets addresses through that are all allowed", async () => {
    const found = await lookUp("10.0.0.5", "fd12::5", "64:ff9b::a00:5");
    expect(found).toHaveLength(3);
  });

  for (const address of [
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "64:ff9b:1::7f00:1",
    "not an address",
  ]) {
    it(`refuses a name with the address ${address} beside an allowed one`, async () => {
      await expect(lookUp("10.0.0.5", address)).rejects.toThrow(ForbiddenAddressError);
    });
  }

  it("refuses a name without any address", async () => {
    await expect(lookUp()).rejects.toThrow(ForbiddenAddressError);
  });
});
