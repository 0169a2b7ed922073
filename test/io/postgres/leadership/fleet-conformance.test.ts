import { describe } from "vitest";
import { describePauses, describeWorkers } from "../../../conformance/fleet.ts";
import { postgresStoreStand as open } from "../../../support/stands/postgres-store-stand.ts";

describe("a pause in Postgres", () => describePauses(open));
describe("the list of workers in Postgres", () => describeWorkers(open));
