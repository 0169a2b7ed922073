import { describe, expect, it } from "vitest";
import {
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import { TroubleLog } from "../../../src/watchdog/worker/trouble-log.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("TroubleLog", () => {
  it("tells an outage once, whatever words it comes in", () => {
    const { troubleLog, told } = setup();
    troubleLog.notReady(AWAY);
    troubleLog.notReady(new StoreUnavailableError("no answer within 5000 ms"));
    troubleLog.cannotSweep(AWAY);
    troubleLog.answered();
    troubleLog.answered();
    expect(told).toEqual(["error not ready", "info stores answer again"]);
  });

  it("tells when it is something else now", () => {
    const { troubleLog, told } = setup();
    troubleLog.notReady(AWAY);
    troubleLog.cannotSweep(new LeaseUnavailableError("ECONNREFUSED"));
    troubleLog.notReady(new StoreSchemaError("a table is missing"));
    troubleLog.notReady(new StoreSchemaError("another table is missing"));
    expect(told).toEqual([
      "error not ready",
      "error cannot sweep",
      "error not ready",
      "error not ready",
    ]);
  });

  it("believes only a sweep that what came back is over, whatever else happens in between", () => {
    const { troubleLog, told } = setup();
    for (let tick = 0; tick < 3; tick += 1) {
      troubleLog.cannotSweep(AWAY);
      troubleLog.answered();
    }
    troubleLog.notReady(AWAY);
    troubleLog.answered();
    troubleLog.served();
    expect(told).toEqual([
      "error cannot sweep",
      "info stores answer again",
      "error cannot sweep",
      "info stores answer again",
    ]);
  });

  it("believes the stores again when another thing kept it from sweeping", () => {
    const { troubleLog, told } = setup();
    troubleLog.cannotSweep(AWAY);
    troubleLog.answered();
    troubleLog.cannotSweep(new LeaseUnavailableError("ECONNREFUSED"));
    troubleLog.answered();
    expect(told.slice(2)).toEqual(["error cannot sweep", "info stores answer again"]);
  });

  it("tells what is odd once, and again when it is odd in another way or anew", () => {
    const { troubleLog, told } = setup();
    const odd = (holder: string) => troubleLog.odd("warn", { holder }, "odd");
    odd("a");
    odd("a");
    odd("b");
    troubleLog.nothingOdd();
    odd("b");
    expect(told).toEqual(["warn odd", "warn odd", "warn odd"]);
  });
});

function setup() {
  const told: string[] = [];
  const at = (level: string) => (_: object, message: string) =>
    void told.push(`${level} ${message}`);
  const log = { debug() {}, info: at("info"), warn: at("warn"), error: at("error") };
  return { troubleLog: new TroubleLog(log), told };
}
