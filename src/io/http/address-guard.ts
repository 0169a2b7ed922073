/**
 * Keeps the worker from being sent to its own network. The check runs on what a name resolves to, in the connection's own
 * look-up: the address that was checked is the one connected to.
 *
 * Not promised: a proxy resolves names for itself once more, and a network may translate addresses in ways of its own.
 */
import { isIP, type LookupFunction } from "node:net";
import { isForbiddenAddress } from "../../rules/network/addresses.ts";

/** The connection was forbidden by the guard, before anything was sent. */
export class ForbiddenAddressError extends Error {
  override readonly name = "ForbiddenAddressError";
}

/** Like `lookup`, but fails when any address of the name is forbidden. */
export function guardLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const [first] = addresses;
      if (first === undefined || addresses.some(({ address }) => isForbiddenAddress(address))) {
        return callback(new ForbiddenAddressError("the address is not allowed"), []);
      }
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}
