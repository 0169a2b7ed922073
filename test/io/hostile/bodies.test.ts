import { ENCODED_BODIES, LARGE, NO_JSON, STILL_HONEST } from "./tables/bodies.ts";
import { hostileTable } from "./tables/table.ts";

hostileTable("A server that does not send JSON", NO_JSON);
hostileTable("A server that encodes its answers", ENCODED_BODIES);
hostileTable("A server that sends too much", LARGE);
hostileTable("A server that is odd, and honest", STILL_HONEST);
