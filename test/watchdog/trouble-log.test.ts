import { describe, expect, it } from "vitest";
import {
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../src/watchdog/ports.ts";
import { Complaints } from "../../src/watchdog/trouble-log.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("Complaints", () => {
  it("tells an outage once, whatever words it comes in", () => {
    const { complaints, told } = setup();
    complaints.notReady(AWAY);
    complaints.notReady(new StoreUnavailableError("no answer within 5000 ms"));
    complaints.cannotSweep(AWAY);
    complaints.answered();
    complaints.answered();
    expect(told).toEqual(["error not ready", "info stores answer again"]);
  });

  it("tells when it is something else now", () => {
    const { complaints, told } = setup();
    complaints.notReady(AWAY);
    complaints.cannotSweep(new LeaseUnavailableError("ECONNREFUSED"));
    complaints.notReady(new StoreSchemaError("a table is missing"));
    complaints.notReady(new StoreSchemaError("another table is missing"));
    expect(told).toEqual([
      "error not ready",
      "error cannot sweep",
      "error not ready",
      "error not ready",
    ]);
  });

  it("believes only a sweep that what came back is over, whatever else happens in between", () => {
    const { complaints, told } = setup();
    for (let tick = 0; tick < 3; tick += 1) {
      complaints.cannotSweep(AWAY);
      complaints.answered();
    }
    complaints.notReady(AWAY);
    complaints.answered();
    complaints.served();
    expect(told).toEqual([
      "error cannot sweep",
      "info stores answer again",
      "error cannot sweep",
      "info stores answer again",
    ]);
  });

  it("believes the stores again when another thing kept it from sweeping", () => {
    const { complaints, told } = setup();
    complaints.cannotSweep(AWAY);
    complaints.answered();
    complaints.cannotSweep(new LeaseUnavailableError("ECONNREFUSED"));
    complaints.answered();
    expect(told.slice(2)).toEqual(["error cannot sweep", "info stores answer again"]);
  });

  it("tells what is odd once, and again when it is odd in another way or anew", () => {
    const { complaints, told } = setup();
    const odd = (holder: string) => complaints.odd("warn", { holder }, "odd");
    odd("a");
    odd("a");
    odd("b");
    complaints.nothingOdd();
    odd("b");
    expect(told).toEqual(["warn odd", "warn odd", "warn odd"]);
  });
});

function setup() {
  const told: string[] = [];
  const at = (level: string) => (_: object, message: string) =>
    void told.push(`${level} ${message}`);
  const log = { debug() {}, info: at("info"), warn: at("warn"), error: at("error") };
  return { complaints: new Complaints(log), told };
}
